
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_INJECT_H_INCLUDED_
#define _NGX_ZERTIBAN_INJECT_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Calls the location's content handler, and sees that the upstream request
 * that it makes carries the token of ctx->credential, valid at that moment,
 * and ctx->tenant.  "ctx" is the request's.
 *
 * If the request body is still to come, "body_handler" is called when it is
 * there, and ctx->post_handler is to be called then, with a valid token at
 * hand.
 *
 * Returns what a content handler does.
 */

ngx_int_t ngx_zertiban_inject(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_http_client_body_handler_pt body_handler);


#endif /* _NGX_ZERTIBAN_INJECT_H_INCLUDED_ */
