
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What a page or a tool sends: a line each with "Origin", "Host" and
 * "Sec-Fetch-Site", which are not sent if they are empty, then the name of a
 * field, and the body, in pieces.
 */


#include "fuzz.h"

#include "ngx_zertiban_form.h"


static void fuzz_headers(ngx_http_request_t *r, ngx_str_t *origin,
    ngx_str_t *host, ngx_str_t *site);
static void fuzz_header(ngx_http_request_t *r, char *name, ngx_str_t *value);
static ngx_uint_t fuzz_foreign(ngx_str_t *origin, ngx_str_t *host,
    ngx_str_t *site);
static void fuzz_body(ngx_http_request_t *r, ngx_str_t *body, uint32_t *seed);
static ngx_int_t fuzz_field(ngx_pool_t *pool, ngx_str_t *body, ngx_str_t *name,
    ngx_str_t *value);
static void fuzz_decode(ngx_str_t *value);
static int fuzz_hex(u_char ch);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    uint32_t             seed;
    ngx_int_t            rc;
    ngx_str_t            origin, host, site, name, body, value, expected;
    ngx_http_request_t  *r;

    seed = fuzz_seed(input);

    origin = fuzz_line(input);
    host = fuzz_line(input);
    site = fuzz_line(input);
    name = fuzz_line(input);

    origin = fuzz_copy(pool, &origin);
    host = fuzz_copy(pool, &host);
    site = fuzz_copy(pool, &site);
    name = fuzz_copy(pool, &name);

    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    fuzz_check(r != NULL);

    r->pool = pool;

    fuzz_headers(r, &origin, &host, &site);

    fuzz_check(ngx_zertiban_form_foreign(r)
               == fuzz_foreign(&origin, &host, &site));

    fuzz_body(r, input, &seed);

    rc = ngx_zertiban_form_body(r, &body);

    if (input->len > NGX_ZERTIBAN_FORM_MAX) {
        fuzz_check(rc == NGX_DECLINED);
        return;
    }

    fuzz_check(rc == NGX_OK);
    fuzz_check(fuzz_str_eq(&body, input));

    body = fuzz_copy(pool, input);

    rc = ngx_zertiban_form_field(pool, &body, &name, &value);

    fuzz_check(rc == fuzz_field(pool, &body, &name, &expected));

    if (rc == NGX_OK) {
        fuzz_check(fuzz_str_eq(&value, &expected));
    }

    fuzz_fail_after(fuzz_random(&seed, 4));

    rc = ngx_zertiban_form_field(pool, &body, &name, &value);

    fuzz_check((rc == NGX_ERROR) == fuzz_has_failed());
}


static void
fuzz_headers(ngx_http_request_t *r, ngx_str_t *origin, ngx_str_t *host,
    ngx_str_t *site)
{
    fuzz_check(ngx_list_init(&r->headers_in.headers, r->pool, 1,
                             sizeof(ngx_table_elt_t))
               == NGX_OK);

    fuzz_header(r, "HOST", host);
    fuzz_header(r, "origin", origin);
    fuzz_header(r, "Sec-Fetch-Site", site);
}


static void
fuzz_header(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    if (value->len == 0) {
        return;
    }

    h = ngx_list_push(&r->headers_in.headers);
    fuzz_check(h != NULL);

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value = *value;

    if (name[0] == 'H') {
        r->headers_in.host = h;
    }
}


static ngx_uint_t
fuzz_foreign(ngx_str_t *origin, ngx_str_t *host, ngx_str_t *site)
{
    u_char  *p;
    size_t   i, len;

    if (site->len) {
        return !(site->len == 11 && memcmp(site->data, "same-origin", 11) == 0)
               && !(site->len == 4 && memcmp(site->data, "none", 4) == 0);
    }

    if (origin->len == 0) {
        return 0;
    }

    p = memmem(origin->data, origin->len, "://", 3);

    if (p == NULL || host->len == 0) {
        return 1;
    }

    p += 3;
    len = origin->data + origin->len - p;

    if (len != host->len) {
        return 1;
    }

    for (i = 0; i < len; i++) {
        if (ngx_tolower(p[i]) != ngx_tolower(host->data[i])) {
            return 1;
        }

        if (p[i] == '\0') {

            /* a header holds none, and ngx_strncasecmp() ends there */

            return 0;
        }
    }

    return 0;
}


static void
fuzz_body(ngx_http_request_t *r, ngx_str_t *body, uint32_t *seed)
{
    ngx_str_t     rest, piece;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, **ll;

    r->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    fuzz_check(r->request_body != NULL);

    rest = *body;
    ll = &r->request_body->bufs;

    while (rest.len) {
        piece.data = rest.data;
        piece.len = 1 + fuzz_random(seed, rest.len);

        rest.data += piece.len;
        rest.len -= piece.len;

        piece = fuzz_copy(r->pool, &piece);

        b = ngx_calloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);
        fuzz_check(b != NULL && cl != NULL);

        b->pos = piece.data;
        b->last = piece.data + piece.len;
        b->memory = 1;

        cl->buf = b;
        cl->next = NULL;
        *ll = cl;
        ll = &cl->next;
    }
}


/* from the end */

static ngx_int_t
fuzz_field(ngx_pool_t *pool, ngx_str_t *body, ngx_str_t *name,
    ngx_str_t *value)
{
    size_t  i, end;

    for (end = body->len; /* void */ ; end = i - 1) {

        for (i = end; i && body->data[i - 1] != '&'; i--) { /* void */ }

        /* what an "&" at the end leads to is empty */

        if (end - i > name->len
            && memcmp(body->data + i, name->data, name->len) == 0
            && body->data[i + name->len] == '='
            && memchr(name->data, '=', name->len) == NULL)
        {
            value->data = body->data + i + name->len + 1;
            value->len = end - i - name->len - 1;
            *value = fuzz_copy(pool, value);

            fuzz_decode(value);

            return NGX_OK;
        }

        if (i == 0) {
            return NGX_DECLINED;
        }
    }
}


/* nginx's way with what is no pair of digits: see ngx_unescape_uri() */

static void
fuzz_decode(ngx_str_t *value)
{
    u_char  *p, *d, *last;

    last = value->data + value->len;
    d = value->data;

    for (p = value->data; p < last; p++) {

        if (*p == '+') {
            *p = ' ';
        }
    }

    for (p = value->data; p < last; p++) {

        if (*p != '%') {
            *d++ = *p;
            continue;
        }

        if (++p == last) {
            break;
        }

        if (fuzz_hex(*p) < 0) {
            *d++ = *p;
            continue;
        }

        if (++p == last) {
            break;
        }

        if (fuzz_hex(*p) >= 0) {
            *d++ = (u_char) (fuzz_hex(p[-1]) * 16 + fuzz_hex(*p));
        }
    }

    value->len = d - value->data;
}


static int
fuzz_hex(u_char ch)
{
    char  *p;

    static char  digits[] = "0123456789abcdef";

    p = ch ? strchr(digits, tolower(ch)) : NULL;

    return p ? (int) (p - digits) : -1;
}
