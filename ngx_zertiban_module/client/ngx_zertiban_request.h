
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_REQUEST_H_INCLUDED_
#define _NGX_ZERTIBAN_REQUEST_H_INCLUDED_


#include "ngx_zertiban_endpoint.h"
#include "ngx_zertiban_mark.h"


/*
 * The token request of RFC 6749, section 4.4.2, with the client's password
 * of section 2.3.1 in HTTP Basic; "id" and "secret" go in as they are.
 * An empty scope is not sent, and neither is a mark of 0.  The buffer is memory
 * of "pool" and holds the secret: it is to be cleared when it has been sent.
 * "sent" is set to what follows "Basic " in it.
 *
 * Returns NULL if there is no memory.
 */

ngx_buf_t *ngx_zertiban_request_create(ngx_pool_t *pool,
    ngx_zertiban_endpoint_t *endpoint, ngx_str_t *id, ngx_str_t *secret,
    ngx_str_t *scope, ngx_zertiban_mark_t refused, ngx_str_t *sent);


#endif /* _NGX_ZERTIBAN_REQUEST_H_INCLUDED_ */
