
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The client's id and secret: what Basic can carry, and the secret's file.
 */


#include "ngx_zertiban_secret.h"


static ngx_int_t ngx_zertiban_secret_load(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_file_t *file, ngx_str_t *secret);
static char *ngx_zertiban_odd(ngx_str_t *value);
static ngx_uint_t ngx_zertiban_has_ctl(ngx_str_t *value);
static ngx_uint_t ngx_zertiban_has_name(ngx_str_t *value);


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
        ngx_zertiban_secret_open_error(cf, directive, &file.name, ngx_errno);
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

    err = ngx_zertiban_secret_bom(secret);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which %s",
                           directive, &file.name, err);
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

    err = ngx_zertiban_secret_odd(secret, NULL);

    if (err) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where the secret %s: write "
                           "the secret alone into the file",
                           directive, &file.name, err);
    }

    return NGX_OK;
}


void
ngx_zertiban_secret_open_error(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_err_t err)
{
    if (ngx_strlchr(name->data, name->data + name->len, '$')
        && err == NGX_ENOENT)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"%V\" cannot open \"%V\", in which a \"$\" is no "
                           "variable, write the path of one file: "
                           ngx_open_file_n " failed", directive, name);
        return;
    }

    if (err == NGX_ENOENT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"%V\" cannot open \"%V\", create it with "
                           "\"install -m 0600 /dev/null %V\" and paste the "
                           "secret into it: " ngx_open_file_n " failed",
                           directive, name, name);
        return;
    }

    if (err == NGX_EACCES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"%V\" cannot open \"%V\", make it and the "
                           "directories above it accessible for the user that "
                           "starts nginx: " ngx_open_file_n " failed",
                           directive, name);
        return;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                       "\"%V\" cannot open \"%V\", write the path of a file "
                       "that the user that starts nginx can read: "
                       ngx_open_file_n " failed", directive, name);
}


static ngx_int_t
ngx_zertiban_secret_load(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_file_t *file, ngx_str_t *secret)
{
    u_char   *buf;
    ssize_t   n;

    if (ngx_fd_info(file->fd, &file->info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" cannot read \"%V\", look at its file "
                           "system: " ngx_fd_info_n " failed",
                           directive, &file->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&file->info)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which is not a regular "
                           "file: write the path of the file with the secret",
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

    /* ngx_read_file() would log on its own, without the directive */

    n = ngx_read_fd(file->fd, buf, NGX_ZERTIBAN_SECRET_MAX + 3);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" cannot read \"%V\", look at its file "
                           "system: " ngx_read_fd_n " failed",
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


char *
ngx_zertiban_secret_bom(ngx_str_t *content)
{
    if ((content->len >= 3
         && ngx_memcmp(content->data, "\xef\xbb\xbf", 3) == 0)
        || (content->len >= 2
            && (ngx_memcmp(content->data, "\xff\xfe", 2) == 0
                || ngx_memcmp(content->data, "\xfe\xff", 2) == 0)))
    {
        return "begins with a byte order mark: save it as plain text, or as "
               "UTF-8 without one";
    }

    return NULL;
}


char *
ngx_zertiban_client_id_odd(ngx_str_t *id)
{
    return ngx_zertiban_odd(id);
}


char *
ngx_zertiban_secret_odd(ngx_str_t *secret, ngx_str_t *id)
{
    char  *odd;

    odd = ngx_zertiban_odd(secret);

    if (odd) {
        return odd;
    }

    if (ngx_zertiban_has_name(secret)) {
        return "looks like NAME=value";
    }

    if (id && id->len && secret->len > id->len
        && ngx_memcmp(secret->data, id->data, id->len) == 0
        && secret->data[id->len] == ':')
    {
        return "begins with the client id and a colon";
    }

    return NULL;
}


static char *
ngx_zertiban_odd(ngx_str_t *value)
{
    size_t  i;
    u_char  first, last;

    if (value->len == 0) {
        return NULL;
    }

    first = value->data[0];
    last = value->data[value->len - 1];

    if (first == ' ' || last == ' ') {
        return "begins or ends with white space";
    }

    if (value->len > 1 && first == last && (first == '"' || first == '\'')) {
        return "has quotes around it";
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] > 0x7e) {
            return "has characters that are no printable ASCII";
        }
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


/* an assignment of a shell, but not the padding of base64 */

static ngx_uint_t
ngx_zertiban_has_name(ngx_str_t *value)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < value->len; i++) {
        ch = (u_char) (value->data[i] | 0x20);

        if ((ch >= 'a' && ch <= 'z') || value->data[i] == '_') {
            continue;
        }

        if (i == 0 || value->data[i] < '0' || value->data[i] > '9') {
            break;
        }
    }

    if (i == 0 || i == value->len || value->data[i] != '=') {
        return 0;
    }

    while (i < value->len && value->data[i] == '=') {
        i++;
    }

    return i < value->len;
}
