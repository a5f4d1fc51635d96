
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The functions of an upstream that the module stands before: what nginx calls
 * to build a request, to send it, for its answer, before the next server, and
 * at the end.
 */


#include "ngx_zertiban_hooks.h"
#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_pass.h"
#include "ngx_zertiban_replay.h"


static ngx_int_t ngx_zertiban_create_request(ngx_http_request_t *r);
static void ngx_zertiban_hooks_set_output(ngx_zertiban_ctx_t *ctx);
static ngx_int_t ngx_zertiban_output_filter(void *data, ngx_chain_t *in);
static ngx_int_t ngx_zertiban_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_reinit_request(ngx_http_request_t *r);
static void ngx_zertiban_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_zertiban_hooks_take_header(ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_hooks_give_header(ngx_zertiban_ctx_t *ctx);


void
ngx_zertiban_hooks_set(ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->upstream;

    ctx->create_request = u->create_request;
    u->create_request = ngx_zertiban_create_request;

    ctx->reinit_request = u->reinit_request;
    u->reinit_request = ngx_zertiban_reinit_request;

    ctx->finalize_request = u->finalize_request;
    u->finalize_request = ngx_zertiban_finalize_request;

    ngx_zertiban_hooks_take_header(ctx);
}


/* a balancer may have the request built again for the next server */

static ngx_int_t
ngx_zertiban_create_request(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_of_upstream(r);

    if (ctx == NULL
        || (ctx->state != NGX_ZERTIBAN_BUILDING
            && ctx->state != NGX_ZERTIBAN_SENT))
    {
        return NGX_ERROR;
    }

    if (ngx_zertiban_inject(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->state = NGX_ZERTIBAN_SENT;

    ngx_zertiban_hooks_set_output(ctx);

    return NGX_OK;
}


/* as in ngx_http_upstream_init_request(), which leaves what is there */

static void
ngx_zertiban_hooks_set_output(ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->upstream;

    if (u->output.output_filter == ngx_zertiban_output_filter) {
        return;
    }

    if (u->output.output_filter) {
        ctx->output_filter = u->output.output_filter;
        ctx->output_ctx = u->output.filter_ctx;

    } else {
        ctx->output_filter = ngx_chain_writer;
        ctx->output_ctx = &u->writer;
    }

    u->output.output_filter = ngx_zertiban_output_filter;
    u->output.filter_ctx = ctx;
}


/* what is written first to a server may have been built long ago */

static ngx_int_t
ngx_zertiban_output_filter(void *data, ngx_chain_t *in)
{
    ngx_zertiban_ctx_t *ctx = data;

    if (!ctx->output) {

        if (!ngx_zertiban_before(ngx_current_msec, ctx->usable)) {
            return ngx_zertiban_replay_expired(ctx->request, ctx);
        }

        ctx->output = 1;
    }

    return ctx->output_filter(ctx->output_ctx, in);
}


static ngx_int_t
ngx_zertiban_process_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_zertiban_ctx_t   *ctx;
    ngx_http_upstream_t  *u;

    ctx = ngx_zertiban_pass_of_upstream(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    u = ctx->upstream;

    ngx_zertiban_hooks_give_header(ctx);

    rc = u->process_header(r);

    ngx_zertiban_hooks_take_header(ctx);

    if (rc == NGX_OK && u->headers_in.status_n == NGX_HTTP_UNAUTHORIZED) {
        return ngx_zertiban_replay(r, ctx);
    }

    if (ngx_zertiban_early_hints(r, rc)) {
        ctx->hinted = 1;
    }

    return rc;
}


/* before the next server is tried, or the cache instead */

static ngx_int_t
ngx_zertiban_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_of_upstream(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->output = 0;

    ngx_zertiban_hooks_give_header(ctx);

    rc = ctx->reinit_request(r);

    ngx_zertiban_hooks_take_header(ctx);

    return rc;
}


static void
ngx_zertiban_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_of_upstream(r);

    if (ctx == NULL) {
        return;
    }

    ctx->finalize_request(r, rc);

    if (ctx->state == NGX_ZERTIBAN_SENT) {
        ctx->state = NGX_ZERTIBAN_DONE;

        ngx_zertiban_replay_lost(r, ctx, rc);
    }
}


/* proxy and others go on with another function after the status line */

static void
ngx_zertiban_hooks_take_header(ngx_zertiban_ctx_t *ctx)
{
    ctx->process_header = ctx->upstream->process_header;
    ctx->upstream->process_header = ngx_zertiban_process_header;
}


static void
ngx_zertiban_hooks_give_header(ngx_zertiban_ctx_t *ctx)
{
    ctx->upstream->process_header = ctx->process_header;
}
