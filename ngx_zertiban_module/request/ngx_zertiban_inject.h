
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
 * If the request has to wait, for its body or for the response cache,
 * ctx->again is called when that is over, with ctx->post_handler set, and
 * ngx_zertiban_inject_resume() is to be called when there is a token.  For a
 * replay ctx->again is called with no ctx->post_handler, and the request is to
 * come here again.
 *
 * Returns what a content handler does.
 */

ngx_int_t ngx_zertiban_inject(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx);

/* "r" may be gone when it returns */

void ngx_zertiban_inject_resume(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_INJECT_H_INCLUDED_ */
