
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The request headers as the upstream is to see them.
 */


#include "ngx_zertiban_headers.h"


static ngx_inline ngx_uint_t ngx_zertiban_header_reserved(ngx_table_elt_t *h);
static ngx_list_part_t *ngx_zertiban_headers_last(ngx_list_part_t *part);
static ngx_uint_t ngx_zertiban_header_equals(ngx_table_elt_t *h,
    ngx_table_elt_t *injected);
static ngx_list_part_t *ngx_zertiban_headers_replace(ngx_http_request_t *r,
    ngx_zertiban_headers_t *h);
static ngx_int_t ngx_zertiban_headers_copy(ngx_list_part_t *part,
    ngx_list_t *list);


/* constant once ngx_zertiban_headers_init() has run, but for the value */

static ngx_table_elt_t  ngx_zertiban_injected[2];


#define ngx_zertiban_header_alnum(ch)                                         \
    (((ch) >= 'a' && (ch) <= 'z') || ((ch) >= '0' && (ch) <= '9'))


void
ngx_zertiban_headers_init(void)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    h = ngx_zertiban_injected;

    ngx_str_set(&h[0].key, "Authorization");
    h[0].lowcase_key = (u_char *) "authorization";

    ngx_str_set(&h[1].key, "x-tenant-id");
    h[1].lowcase_key = (u_char *) "x-tenant-id";

    for (i = 0; i < 2; i++) {
        h[i].hash = ngx_hash_key(h[i].lowcase_key, h[i].key.len);
    }
}


ngx_int_t
ngx_zertiban_headers_inject(ngx_http_request_t *r, ngx_zertiban_headers_t *h,
    ngx_str_t *authorization, ngx_str_t *tenant)
{
    h->replaced = 0;
    h->last = ngx_zertiban_headers_last(&r->headers_in.headers.part);

    if (h->last == NULL) {

        /* the client has sent some of these itself */

        h->last = ngx_zertiban_headers_replace(r, h);

        if (h->last == NULL) {
            return NGX_ERROR;
        }
    }

    h->elts[0] = ngx_zertiban_injected[0];
    h->elts[0].value = *authorization;

    h->elts[1] = ngx_zertiban_injected[1];
    h->elts[1].value = *tenant;

    h->part.elts = h->elts;
    h->part.nelts = 2;
    h->part.next = NULL;

    h->last->next = &h->part;

    return NGX_OK;
}


void
ngx_zertiban_headers_restore(ngx_http_request_t *r, ngx_zertiban_headers_t *h)
{
    if (h->replaced) {
        r->headers_in.headers = h->list;
        ngx_zertiban_multi_restore(r, h);
        return;
    }

    h->last->next = NULL;
}


/* most names are shorter than both, or begin in another way */

static ngx_inline ngx_uint_t
ngx_zertiban_header_reserved(ngx_table_elt_t *h)
{
    u_char  *name;

    name = h->lowcase_key;

    if (h->key.len < sizeof("x-tenant-id") - 1
        || (u_char) (name[0] - 'b') <= 'w' - 'b'
        || (name[0] == 'a' && name[1] != 'u')
        || (name[0] == 'x' && name[2] != 't'
            && ngx_zertiban_header_alnum(name[2])))
    {
        return 0;
    }

    return ngx_zertiban_header_equals(h, &ngx_zertiban_injected[0])
           || ngx_zertiban_header_equals(h, &ngx_zertiban_injected[1]);
}


/*
 * Returns the last part of the list, or NULL if there is a header in it that
 * must not be.  In a subrequest, whose list is a copy, list.last may point
 * into the list of the parent.
 */

static ngx_list_part_t *
ngx_zertiban_headers_last(ngx_list_part_t *part)
{
    ngx_table_elt_t  *h, *last;

    for ( ;; ) {

        h = part->elts;
        last = h + part->nelts;

        for ( /* void */ ; h < last; h++) {
            if (ngx_zertiban_header_reserved(h)) {
                return NULL;
            }
        }

        if (part->next == NULL) {
            return part;
        }

        part = part->next;
    }
}


/*
 * CGI makes the same variable of "-" and "_", and what reads names behind it
 * may take other characters for these, or leave them out at the ends: all that
 * is between letters and digits is one "-", and before and behind them nothing.
 */

static ngx_uint_t
ngx_zertiban_header_equals(ngx_table_elt_t *h, ngx_table_elt_t *injected)
{
    u_char  *p, *last, *name, *end;

    p = h->lowcase_key;
    last = p + h->key.len;

    name = injected->lowcase_key;
    end = name + injected->key.len;

    while (p < last && !ngx_zertiban_header_alnum(*p)) { p++; }

    for ( /* void */ ; name < end; name++) {

        if (*name != '-') {

            if (p == last || *p++ != *name) {
                return 0;
            }

            continue;
        }

        if (p == last || ngx_zertiban_header_alnum(*p)) {
            return 0;
        }

        while (p < last && !ngx_zertiban_header_alnum(*p)) { p++; }
    }

    while (p < last && !ngx_zertiban_header_alnum(*p)) { p++; }

    return p == last;
}


/* puts a list without them in the place of the client's */

static ngx_list_part_t *
ngx_zertiban_headers_replace(ngx_http_request_t *r, ngx_zertiban_headers_t *h)
{
    ngx_list_t  *list;

    list = ngx_list_create(r->pool, 20, sizeof(ngx_table_elt_t));
    if (list == NULL) {
        return NULL;
    }

    if (ngx_zertiban_headers_copy(&r->headers_in.headers.part, list)
        != NGX_OK)
    {
        return NULL;
    }

    h->list = r->headers_in.headers;
    h->replaced = 1;

    ngx_zertiban_multi_save(r, h);

    r->headers_in.headers = *list;

    if (list->last == &list->part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return r->headers_in.headers.last;
}


static ngx_int_t
ngx_zertiban_headers_copy(ngx_list_part_t *part, ngx_list_t *list)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h, *header;

    for ( /* void */ ; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_zertiban_header_reserved(&header[i])) {
                continue;
            }

            h = ngx_list_push(list);
            if (h == NULL) {
                return NGX_ERROR;
            }

            *h = header[i];
            ngx_zertiban_header_unlink(h);
        }
    }

    return NGX_OK;
}
