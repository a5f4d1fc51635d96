
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_HEADERS_H_INCLUDED_
#define _NGX_ZERTIBAN_HEADERS_H_INCLUDED_


#include "ngx_zertiban_compat.h"


typedef struct {
    ngx_list_part_t    part;
    ngx_table_elt_t    elts[2];

    ngx_list_part_t   *last;             /* the one before */
    ngx_list_t         list;             /* of the client, while replaced */

    unsigned           replaced:1;
    unsigned           multi:1;
    unsigned           multi_linked:1;
} ngx_zertiban_headers_t;


/* computes what is constant; at configuration time */

void ngx_zertiban_headers_init(void);

/*
 * Makes r->headers_in.headers hold exactly one "Authorization" and one
 * "x-tenant-id" until ngx_zertiban_headers_restore() is called, which must
 * happen before anything else of the request runs: "h" is memory of the
 * caller and may be on its stack.  The values are used in place.
 *
 * Returns NGX_ERROR if there is no memory in r->pool; nothing is changed then.
 */

ngx_int_t ngx_zertiban_headers_inject(ngx_http_request_t *r,
    ngx_zertiban_headers_t *h, ngx_str_t *authorization, ngx_str_t *tenant);
void ngx_zertiban_headers_restore(ngx_http_request_t *r,
    ngx_zertiban_headers_t *h);


#endif /* _NGX_ZERTIBAN_HEADERS_H_INCLUDED_ */
