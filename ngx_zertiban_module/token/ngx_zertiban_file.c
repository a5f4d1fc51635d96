
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A small file that may be replaced while nginx runs: by another one of its
 * name, by another link on the way to it, or in place.
 */


#include "ngx_zertiban_file.h"


#define NGX_ZERTIBAN_FILE_YOUNG  2      /* s, for coarse clocks */


static void ngx_zertiban_file_set(ngx_zertiban_file_id_t *id,
    ngx_file_info_t *fi);
static ssize_t ngx_zertiban_file_load(ngx_fd_t fd, u_char *buf, size_t size,
    ngx_zertiban_file_id_t *id, char **err, ngx_err_t *no);


void
ngx_zertiban_file_identify(ngx_str_t *name, ngx_zertiban_file_id_t *id)
{
    ngx_file_info_t  fi;

    if (ngx_file_info(name->data, &fi) == NGX_FILE_ERROR) {
        ngx_memzero(id, sizeof(ngx_zertiban_file_id_t));
        id->err = ngx_errno;
        return;
    }

    ngx_zertiban_file_set(id, &fi);
}


static void
ngx_zertiban_file_set(ngx_zertiban_file_id_t *id, ngx_file_info_t *fi)
{
    ngx_memzero(id, sizeof(ngx_zertiban_file_id_t));

    id->device = fi->st_dev;
    id->uniq = ngx_file_uniq(fi);
    id->size = ngx_file_size(fi);
    id->mtime = fi->st_mtim;
    id->others = (ngx_file_access(fi) & 0004) ? 1 : 0;
}


ngx_uint_t
ngx_zertiban_file_same(ngx_zertiban_file_id_t *one,
    ngx_zertiban_file_id_t *two)
{
    return one->err == two->err
           && one->device == two->device
           && one->uniq == two->uniq
           && one->size == two->size
           && one->mtime.tv_sec == two->mtime.tv_sec
           && one->mtime.tv_nsec == two->mtime.tv_nsec;
}


ngx_uint_t
ngx_zertiban_file_young(ngx_zertiban_file_id_t *id)
{
    /* a file of the future as well */

    return ngx_time() - id->mtime.tv_sec < NGX_ZERTIBAN_FILE_YOUNG;
}


ssize_t
ngx_zertiban_file_read(ngx_str_t *name, u_char *buf, size_t size,
    ngx_zertiban_file_id_t *id, char **err, ngx_err_t *no)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        *no = ngx_errno;
        *err = "cannot be opened";
        ngx_zertiban_file_identify(name, id);
        return NGX_ERROR;
    }

    n = ngx_zertiban_file_load(fd, buf, size, id, err, no);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return n;
}


static ssize_t
ngx_zertiban_file_load(ngx_fd_t fd, u_char *buf, size_t size,
    ngx_zertiban_file_id_t *id, char **err, ngx_err_t *no)
{
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_memzero(id, sizeof(ngx_zertiban_file_id_t));
        *no = id->err = ngx_errno;
        *err = "cannot be examined";
        return NGX_ERROR;
    }

    ngx_zertiban_file_set(id, &fi);

    if (!ngx_is_file(&fi)) {
        *no = 0;
        *err = "is not a regular file";
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, size);

    if (n == -1) {
        *no = ngx_errno;
        *err = "cannot be read";
        return NGX_ERROR;
    }

    return n;
}
