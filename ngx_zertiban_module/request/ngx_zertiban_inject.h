
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_INJECT_H_INCLUDED_
#define _NGX_ZERTIBAN_INJECT_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Calls ctx->create_request() with the token of ctx->credential and ctx->tenant
 * among the headers of the request; ctx->generation and ctx->usable are set.
 *
 * Returns what that does, or NGX_ERROR if there is no token or no memory.
 */

ngx_int_t ngx_zertiban_inject(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_INJECT_H_INCLUDED_ */
