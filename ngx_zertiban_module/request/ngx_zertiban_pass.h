
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_PASS_H_INCLUDED_
#define _NGX_ZERTIBAN_PASS_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * ngx_zertiban_pass_create() begins a pass.  "look" is called whenever that
 * may go on, with one reference of the request, which is finalized with what it
 * returns.  NULL if there is no memory.
 *
 * ngx_zertiban_pass_of_upstream() returns the pass that r->upstream is of, also
 * if r->ctx was zeroed; NULL if there is none.
 */

/*
 * The last pass of the request, also if a redirect has followed it; NULL if
 * there was none.
 */

ngx_zertiban_ctx_t *ngx_zertiban_pass_last(ngx_http_request_t *r);

/* for ngx_zertiban_pass_of_upstream() */

ngx_zertiban_ctx_t *ngx_zertiban_pass_find(ngx_http_request_t *r);

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
 * ngx_zertiban_pass_hand_over() lets ctx->upstream go on, with one reference of
 * the request.  If no request is built in it, which is what
 * ngx_zertiban_pass_not_built() is for, ctx->look() may be called again: when
 * the response cache was waited for.
 */

void ngx_zertiban_pass_not_built(ngx_http_request_t *r,
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
 * As above, but the pass will be refused with "error" then: nothing has been
 * sent to the server.  Returns NGX_ERROR, for ctx->upstream's function.
 */

ngx_int_t ngx_zertiban_pass_refuse(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_zertiban_error_e error);

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


/*
 * A redirect zeroes r->ctx, but leaves the variables: a slot among them, which
 * has no name that a configuration could use, leads to all passes.
 */

static ngx_inline ngx_zertiban_ctx_t *
ngx_zertiban_pass_create(ngx_http_request_t *r, ngx_zertiban_pass_pt look)
{
    ngx_zertiban_ctx_t         *ctx;
    ngx_zertiban_main_conf_t   *zmcf;
    ngx_http_variable_value_t  *v;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_zertiban_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    v = &r->variables[zmcf->ctx_index];

    ctx->request = r;
    ctx->prev = (ngx_zertiban_ctx_t *) v->data;
    ctx->look = look;

    v->data = (u_char *) ctx;

    ngx_http_set_ctx(r, ctx, ngx_zertiban_module);

    if (r->request_body && r == r->main && !r->discard_body) {

        /* its reading may have failed, and would go on behind an error page */

        r->read_event_handler = ngx_http_block_reading;
    }

    return ctx;
}


static ngx_inline ngx_zertiban_ctx_t *
ngx_zertiban_pass_of_upstream(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    if (ctx && ctx->upstream == r->upstream) {
        return ctx;
    }

    return ngx_zertiban_pass_find(r);
}


/* whether the client sends a body, or has sent it */

static ngx_inline ngx_uint_t
ngx_zertiban_pass_has_body(ngx_http_request_t *r)
{
    return (r->headers_in.content_length_n > 0 || r->headers_in.chunked);
}


static ngx_inline void
ngx_zertiban_pass_hand_over(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ctx->state = NGX_ZERTIBAN_BUILDING;

    ngx_http_upstream_init(r);

    if (ctx->state == NGX_ZERTIBAN_BUILDING) {
        ngx_zertiban_pass_not_built(r, ctx);
    }
}


#endif /* _NGX_ZERTIBAN_PASS_H_INCLUDED_ */
