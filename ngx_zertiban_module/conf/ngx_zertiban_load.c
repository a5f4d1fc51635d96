
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The files with secrets, as they are when the configuration is read, and what
 * its author is told about them.
 */


#include "ngx_zertiban_load.h"
#include "ngx_zertiban_secret.h"


static void ngx_zertiban_load_error(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, char *what, char *err, ngx_err_t no);
static void ngx_zertiban_load_others(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_zertiban_file_id_t *id);
static void ngx_zertiban_load_pair(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_zertiban_pair_t *pair);
static void ngx_zertiban_load_date(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_zertiban_pair_t *pair);


ngx_int_t
ngx_zertiban_load_secret(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_str_t *secret, time_t *written)
{
    char                    *err;
    ssize_t                  n;
    ngx_err_t                no;
    ngx_str_t                file;
    ngx_zertiban_file_id_t   id;

    file = *name;

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a line end and one byte to see that it is too long */

    secret->data = ngx_pnalloc(cf->pool, NGX_ZERTIBAN_SECRET_MAX + 3);
    if (secret->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_zertiban_file_read(&file, secret->data,
                               NGX_ZERTIBAN_SECRET_MAX + 3, &id, &err, &no);
    if (n < 0) {
        ngx_zertiban_load_error(cf, directive, &file, "the secret", err, no);
        return NGX_ERROR;
    }

    *written = id.mtime.tv_sec;

    ngx_zertiban_load_others(cf, directive, &file, &id);

    if (n && secret->data[n - 1] == LF) {
        n--;

        if (n && secret->data[n - 1] == CR) {
            n--;
        }
    }

    secret->len = n;

    err = ngx_zertiban_secret_bom(secret);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which %s",
                           directive, &file, err);
        return NGX_ERROR;
    }

    err = ngx_zertiban_secret_check(secret);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" cannot use the secret in \"%V\": it %s, "
                           "write the secret alone into the file",
                           directive, &file, err);
        return NGX_ERROR;
    }

    err = ngx_zertiban_secret_odd(secret, NULL);

    if (err) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where the secret %s: write "
                           "the secret alone into the file",
                           directive, &file, err);
    }

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_load_pairs(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_zertiban_pairs_t *pairs)
{
    ngx_int_t   rc;
    ngx_err_t   no;
    ngx_str_t   err;
    ngx_uint_t  i;
    u_char      data[NGX_ZERTIBAN_PAIRS_ERROR + 1];

    err.data = data;

    rc = ngx_zertiban_pairs_read(pairs, &err);

    no = (rc == NGX_DECLINED) ? ngx_errno : 0;

    if (no) {
        err.data[err.len] = '\0';
        ngx_zertiban_load_error(cf, directive, &pairs->file,
                                "a line with client id and secret",
                                (char *) err.data, no);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which %V: write lines "
                           "\"client_id client_secret [YYYY-MM-DD]\", the "
                           "newest first", directive, &pairs->file, &err);
        return NGX_ERROR;
    }

    ngx_zertiban_load_others(cf, directive, &pairs->file, &pairs->id);

    for (i = 0; i < pairs->list.tags.n; i++) {
        ngx_zertiban_load_pair(cf, directive, &pairs->file,
                               &pairs->list.elts[i]);
    }

    return NGX_OK;
}


static void
ngx_zertiban_load_error(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    char *what, char *err, ngx_err_t no)
{
    if (no == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" names \"%V\", which %s: write the path of "
                           "a file with %s", directive, name, err, what);

    } else if (no == NGX_ENOENT
               && ngx_strlchr(name->data, name->data + name->len, '$'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"%V\" cannot open \"%V\", in which a \"$\" is no "
                           "variable, write the path of one file: %s",
                           directive, name, err);

    } else if (no == NGX_ENOENT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"%V\" cannot open \"%V\", create it with "
                           "\"install -m 0600 /dev/null %V\" and paste %s "
                           "into it: %s", directive, name, name, what, err);

    } else if (no == NGX_EACCES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"%V\" cannot open \"%V\", make it and the "
                           "directories above it accessible for the user that "
                           "starts nginx: %s", directive, name, err);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"%V\" cannot read \"%V\", write the path of a "
                           "file that the user that starts nginx can read: %s",
                           directive, name, err);
    }
}


static void
ngx_zertiban_load_others(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_zertiban_file_id_t *id)
{
    if (id->others) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", which others can read, "
                           "make it unreadable for them: \"chmod o-r\"",
                           directive, name);
    }
}


static void
ngx_zertiban_load_pair(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_zertiban_pair_t *pair)
{
    char  *odd;

    odd = ngx_zertiban_client_id_odd(&pair->id);

    if (odd) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where a client id %s: write "
                           "it as Zertiban shows it", directive, name, odd);
    }

    odd = ngx_zertiban_secret_odd(&pair->secret, &pair->id);

    if (odd) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where the secret of client "
                           "\"%V\" %s: write it as Zertiban shows it",
                           directive, name, &pair->id, odd);
    }

    if (pair->expires) {
        ngx_zertiban_load_date(cf, directive, name, pair);
    }
}


static void
ngx_zertiban_load_date(ngx_conf_t *cf, ngx_str_t *directive, ngx_str_t *name,
    ngx_zertiban_pair_t *pair)
{
    ngx_int_t  days;

    days = ngx_zertiban_pair_days(pair);

    if (days < 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where the date of client "
                           "\"%V\" is past: put a new pair before it",
                           directive, name, &pair->id);

    } else if (days < NGX_ZERTIBAN_PAIR_DAYS) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" names \"%V\", where the date of client "
                           "\"%V\" is in %i days: put a new pair before it",
                           directive, name, &pair->id, days);
    }
}
