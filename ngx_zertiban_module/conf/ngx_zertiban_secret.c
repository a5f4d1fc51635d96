
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The client's id and secret: what Basic can carry, and the secret's file.
 */


#include "ngx_zertiban_secret.h"


static ngx_int_t ngx_zertiban_secret_load(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_file_t *file, ngx_str_t *secret);
static ngx_uint_t ngx_zertiban_has_ctl(ngx_str_t *value);


ngx_int_t
ngx_zertiban_secret_read(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_str_t *secret)
{
    char        *err;
    ngx_int_t    rc;
    ngx_file_t   file;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    if (ngx_conf_full_name(cf->cycle, &file.name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    file.fd = ngx_open_file(file.name.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" cannot open \"%V\", make it readable for "
                           "the user that starts nginx: " ngx_open_file_n "() "
                           "failed", directive, &file.name);
        return NGX_ERROR;
    }

    rc = ngx_zertiban_secret_load(cf, directive, &file, secret);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &file.name);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    err = ngx_zertiban_secret_check(secret);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot use the secret in \"%V\": it %s, "
                           "write the secret alone into the file",
                           directive, &file.name, err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_secret_load(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_file_t *file, ngx_str_t *secret)
{
    u_char   *buf;
    ssize_t   n;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\": " ngx_fd_info_n " \"%V\" failed",
                           directive, &file->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&file->info)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which is not a regular file",
                           directive, &file->name);
        return NGX_ERROR;
    }

    if (ngx_file_access(&file->info) & 0004) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", which others can read, "
                           "make it unreadable for them: \"chmod o-r\"",
                           directive, &file->name);
    }

    /* a line end and one byte to see that it is too long */

    buf = ngx_pnalloc(cf->pool, NGX_ZERTIBAN_SECRET_MAX + 3);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_file(file, buf, NGX_ZERTIBAN_SECRET_MAX + 3, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot read \"%V\"",
                           directive, &file->name);
        return NGX_ERROR;
    }

    if (n && buf[n - 1] == LF) {
        n--;

        if (n && buf[n - 1] == CR) {
            n--;
        }
    }

    secret->len = n;
    secret->data = buf;

    return NGX_OK;
}


char *
ngx_zertiban_client_id_check(ngx_str_t *id)
{
    if (id->len == 0) {
        return "is empty";
    }

    if (ngx_strlchr(id->data, id->data + id->len, ':')) {
        return "has a colon, which HTTP Basic cannot carry";
    }

    if (ngx_zertiban_has_ctl(id)) {
        return "has a control character";
    }

    return NULL;
}


char *
ngx_zertiban_secret_check(ngx_str_t *secret)
{
    if (secret->len == 0) {
        return "is empty";
    }

    if (secret->len > NGX_ZERTIBAN_SECRET_MAX) {
        return "is longer than 4096 bytes";
    }

    if (ngx_zertiban_has_ctl(secret)) {
        return "has a control character";
    }

    return NULL;
}


static ngx_uint_t
ngx_zertiban_has_ctl(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}
