
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_PASS_H_INCLUDED_
#define _NGX_ZERTIBAN_PASS_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Begins a pass.  "look" is called whenever the pass may go on, with one
 * reference of the request that is finalized with what it returns.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_ctx_t *ngx_zertiban_pass_create(ngx_http_request_t *r,
    ngx_zertiban_pass_pt look);

/*
 * The last pass of the request, also if a redirect has followed it; NULL if
 * there was none.
 */

ngx_zertiban_ctx_t *ngx_zertiban_pass_last(ngx_http_request_t *r);

/* the pass that r->upstream is of, also if r->ctx was zeroed; NULL if none */

ngx_zertiban_ctx_t *ngx_zertiban_pass_of_upstream(ngx_http_request_t *r);

/*
 * Calls the content handler, of an upstream, and keeps that from going on, so
 * that ctx->upstream can be changed before it builds its request.
 *
 * Returns
 *     NGX_OK     ngx_zertiban_pass_hand_over() is to be called next
 *     NGX_AGAIN  ctx->look() will be called when the body was read
 *     other      what the content handler has returned
 */

ngx_int_t ngx_zertiban_pass_build(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_http_handler_pt handler);

/*
 * Lets ctx->upstream go on, with one reference of the request.  If that waits
 * for the response cache, ctx->look() will be called afterwards.
 */

void ngx_zertiban_pass_hand_over(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);

/*
 * Takes the request back from ctx->upstream, and has ctx->look() called with
 * the upstream's reference.  It is called by ctx->upstream's functions only,
 * which return NGX_ERROR afterwards.
 *
 * Returns NGX_OK, or NGX_ERROR if that has the request no more, or there is no
 * memory: nothing was changed.
 */

ngx_int_t ngx_zertiban_pass_take_back(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);

/*
 * While the request waits for a token, nothing but the leaving of its client
 * moves it, and not even that if "abort" is 0.
 *
 * ngx_zertiban_pass_pause() returns NGX_OK, or NGX_ERROR if the client cannot
 * be watched: nothing was changed.
 */

ngx_int_t ngx_zertiban_pass_pause(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_uint_t abort);
void ngx_zertiban_pass_resume(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_PASS_H_INCLUDED_ */
