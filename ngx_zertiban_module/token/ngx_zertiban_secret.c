
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The client's id and secret: what Basic can carry, and what looks like a
 * mistake.
 */


#include "ngx_zertiban_secret.h"


static char *ngx_zertiban_odd(ngx_str_t *value);
static ngx_uint_t ngx_zertiban_has_ctl(ngx_str_t *value);
static ngx_uint_t ngx_zertiban_has_name(ngx_str_t *value);


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
