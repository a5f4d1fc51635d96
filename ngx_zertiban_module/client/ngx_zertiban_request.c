
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The bytes of a token request.
 */


#include "ngx_zertiban_request.h"
#include "ngx_zertiban_version.h"


static ngx_int_t ngx_zertiban_request_basic(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *secret, ngx_str_t *basic);
static ngx_int_t ngx_zertiban_request_body(ngx_pool_t *pool, ngx_str_t *scope,
    ngx_str_t *body);
static u_char *ngx_zertiban_form_encode(u_char *p, ngx_str_t *value);


ngx_buf_t *
ngx_zertiban_request_create(ngx_pool_t *pool,
    ngx_zertiban_endpoint_t *endpoint, ngx_str_t *id, ngx_str_t *secret,
    ngx_str_t *scope, ngx_zertiban_mark_t refused, ngx_str_t *sent)
{
    size_t      len;
    ngx_buf_t  *b;
    ngx_str_t   basic, body;

    static char  first[] =
        "POST %V HTTP/1.1" CRLF
        "Host: %V" CRLF
        "Authorization: Basic ";

    static char  rest[] = CRLF
        "Content-Type: application/x-www-form-urlencoded" CRLF
        "Accept: application/json" CRLF
        "Accept-Encoding: identity" CRLF
        "Content-Length: %uz" CRLF
        "User-Agent: ngx_zertiban_module/" NGX_ZERTIBAN_VERSION CRLF
        "Connection: close" CRLF;

    static char  mark[] = "%s: " NGX_ZERTIBAN_MARK_FORMAT CRLF;

    if (ngx_zertiban_request_basic(pool, id, secret, &basic) != NGX_OK
        || ngx_zertiban_request_body(pool, scope, &body) != NGX_OK)
    {
        return NULL;
    }

    len = sizeof(first) + endpoint->uri.len + endpoint->host_header.len
          + basic.len + sizeof(rest) + NGX_SIZE_T_LEN + sizeof(mark)
          + sizeof(NGX_ZERTIBAN_TOKEN_REFUSED) + NGX_ZERTIBAN_MARK_LEN
          + sizeof(CRLF) + body.len;

    b = ngx_create_temp_buf(pool, len);

    if (b) {
        b->last = ngx_slprintf(b->last, b->end, first, &endpoint->uri,
                               &endpoint->host_header);

        sent->len = basic.len;
        sent->data = b->last;

        b->last = ngx_cpymem(b->last, basic.data, basic.len);
        b->last = ngx_slprintf(b->last, b->end, rest, body.len);

        if (refused) {
            b->last = ngx_slprintf(b->last, b->end, mark,
                                   (refused & NGX_ZERTIBAN_MARK_DOUBT)
                                   ? NGX_ZERTIBAN_TOKEN_DOUBTED
                                   : NGX_ZERTIBAN_TOKEN_REFUSED,
                                   refused & NGX_ZERTIBAN_MARK_MASK);
        }

        b->last = ngx_slprintf(b->last, b->end, CRLF "%V", &body);
    }

    ngx_explicit_memzero(basic.data, basic.len);

    return b;
}


static ngx_int_t
ngx_zertiban_request_basic(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *secret,
    ngx_str_t *basic)
{
    u_char     *p;
    ngx_str_t   src;

    src.len = id->len + 1 + secret->len;

    src.data = ngx_pnalloc(pool, src.len);
    if (src.data == NULL) {
        return NGX_ERROR;
    }

    basic->data = ngx_pnalloc(pool, ngx_base64_encoded_length(src.len));
    if (basic->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(src.data, id->data, id->len);
    *p++ = ':';
    ngx_memcpy(p, secret->data, secret->len);

    ngx_encode_base64(basic, &src);

    ngx_explicit_memzero(src.data, src.len);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_request_body(ngx_pool_t *pool, ngx_str_t *scope, ngx_str_t *body)
{
    u_char  *p;

    static ngx_str_t  grant = ngx_string("grant_type=client_credentials");

    if (scope->len == 0) {
        *body = grant;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, grant.len + sizeof("&scope=") - 1 + 3 * scope->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_cpymem(p, grant.data, grant.len);
    p = ngx_cpymem(p, "&scope=", sizeof("&scope=") - 1);
    p = ngx_zertiban_form_encode(p, scope);

    body->len = p - body->data;

    return NGX_OK;
}


/*
 * application/x-www-form-urlencoded, RFC 6749, appendix B;
 * ngx_escape_uri() has no form of it
 */

static u_char *
ngx_zertiban_form_encode(u_char *p, ngx_str_t *value)
{
    u_char  ch, c;
    size_t  i;

    static u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];
        c = (u_char) (ch | 0x20);

        if ((c >= 'a' && c <= 'z') || (ch >= '0' && ch <= '9')
            || ch == '-' || ch == '.' || ch == '_' || ch == '*')
        {
            *p++ = ch;

        } else if (ch == ' ') {
            *p++ = '+';

        } else {
            *p++ = '%';
            *p++ = hex[ch >> 4];
            *p++ = hex[ch & 0xf];
        }
    }

    return p;
}
