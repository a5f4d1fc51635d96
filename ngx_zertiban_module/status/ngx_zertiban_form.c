
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A form of a page, or of a tool that does as if.
 */


#include "ngx_zertiban_form.h"


static ngx_str_t *ngx_zertiban_form_host(ngx_http_request_t *r);


ngx_int_t
ngx_zertiban_form_body(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    size_t        len;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    body->len = 0;
    body->data = ngx_pnalloc(r->pool, NGX_ZERTIBAN_FORM_MAX);

    if (body->data == NULL || r->request_body == NULL) {
        return NGX_ERROR;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (size > (off_t) (NGX_ZERTIBAN_FORM_MAX - body->len)) {
            return NGX_DECLINED;
        }

        len = (size_t) size;

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(body->data + body->len, b->pos, len);

        } else if (b->in_file) {
            n = ngx_read_file(b->file, body->data + body->len, len,
                              b->file_pos);

            if (n != (ssize_t) len) {
                return NGX_ERROR;
            }
        }

        body->len += len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_form_field(ngx_pool_t *pool, ngx_str_t *body, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char     *p, *last, *end, *equals, *dst, *src;
    size_t      len;
    ngx_int_t   rc;

    rc = NGX_DECLINED;

    p = body->data;
    last = p + body->len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        equals = ngx_strlchr(p, end, '=');

        if (equals == NULL
            || (size_t) (equals - p) != name->len
            || ngx_memcmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        len = end - (equals + 1);

        value->data = ngx_pnalloc(pool, len + 1);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(value->data, equals + 1, len);

        /* ngx_unescape_uri() has no form of it */

        for (src = value->data; src < value->data + len; src++) {
            if (*src == '+') {
                *src = ' ';
            }
        }

        src = value->data;
        dst = value->data;

        ngx_unescape_uri(&dst, &src, len, 0);

        value->len = dst - value->data;
        rc = NGX_OK;
    }

    return rc;
}


/*
 * "Sec-Fetch-Site" is sent over TLS, and to this machine; what an older browser
 * says otherwise is "Origin".  Tools send neither.
 */

ngx_uint_t
ngx_zertiban_form_foreign(ngx_http_request_t *r)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *site, *origin, *host;

    site = ngx_zertiban_form_header(r, "sec-fetch-site");

    if (site) {
        return !(site->len == 11
                 && ngx_strncmp(site->data, "same-origin", 11) == 0)
               && !(site->len == 4 && ngx_strncmp(site->data, "none", 4) == 0);
    }

    origin = ngx_zertiban_form_header(r, "origin");

    if (origin == NULL) {
        return 0;
    }

    host = ngx_zertiban_form_host(r);

    p = ngx_strlcasestrn(origin->data, origin->data + origin->len,
                         (u_char *) "://", 3 - 1);

    if (p == NULL || host == NULL) {
        return 1;
    }

    p += 3;
    len = origin->data + origin->len - p;

    return len != host->len || ngx_strncasecmp(p, host->data, len) != 0;
}


/* as the client has sent it, with its port */

static ngx_str_t *
ngx_zertiban_form_host(ngx_http_request_t *r)
{
    if (r->headers_in.host) {
        return &r->headers_in.host->value;
    }

    return r->headers_in.server.len ? &r->headers_in.server : NULL;
}


ngx_str_t *
ngx_zertiban_form_header(ngx_http_request_t *r, char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}
