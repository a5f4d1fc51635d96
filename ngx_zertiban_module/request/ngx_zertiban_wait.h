
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_WAIT_H_INCLUDED_
#define _NGX_ZERTIBAN_WAIT_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Has the request wait for a token, at most for zertiban_timeout; it may do so
 * more than once in a pass.  The end is "handler", whose result finalizes a
 * reference of the request: "rc" is of ngx_zertiban_keeper_token(), but not
 * NGX_AGAIN, or NGX_ABORT if it has waited too long.  There is no end if the
 * request is freed, or goes on without the pass.
 *
 * Returns NGX_DONE, or NGX_HTTP_INTERNAL_SERVER_ERROR.
 */

typedef ngx_int_t (*ngx_zertiban_wait_pt)(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_int_t rc);

ngx_int_t ngx_zertiban_wait(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_wait_pt handler);

/*
 * Keeps ctx->credential until the request is freed.  Returns NGX_OK, or
 * NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_wait_hold(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);

/* ms that the pass has waited, also while it still does */

ngx_msec_t ngx_zertiban_wait_time(ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_WAIT_H_INCLUDED_ */
