
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The functions of an upstream that the module stands before: what nginx calls
 * to build a request, to send it, for its answer, before the next server, and
 * at the end.  The headers are the upstream's only while it builds its request.
 */


#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_destination.h"
#include "ngx_zertiban_headers.h"
#include "ngx_zertiban_pass.h"
#include "ngx_zertiban_replay.h"


static ngx_int_t ngx_zertiban_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_inject_headers(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_inject_check(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_str_t *value);
static ngx_uint_t ngx_zertiban_inject_find(ngx_buf_t *b, ngx_str_t *value);
static void ngx_zertiban_inject_output(ngx_zertiban_ctx_t *ctx);
static ngx_int_t ngx_zertiban_output_filter(void *data, ngx_chain_t *in);
static ngx_inline ngx_zertiban_error_e ngx_zertiban_inject_verdict(
    ngx_zertiban_ctx_t *ctx);
static ngx_int_t ngx_zertiban_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_reinit_request(ngx_http_request_t *r);
static void ngx_zertiban_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_zertiban_inject_take_header(ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_inject_give_header(ngx_zertiban_ctx_t *ctx);


void
ngx_zertiban_inject(ngx_zertiban_ctx_t *ctx)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = ctx->upstream;

    ctx->create_request = u->create_request;
    u->create_request = ngx_zertiban_create_request;

    ctx->reinit_request = u->reinit_request;
    u->reinit_request = ngx_zertiban_reinit_request;

    ngx_zertiban_inject_take_header(ctx);

    ctx->output = 0;

    /* an answer may be lost while a body is sent */

    if (ngx_zertiban_pass_has_body(r)) {
        ctx->finalize_request = u->finalize_request;
        u->finalize_request = ngx_zertiban_finalize_request;
    }
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

    if (ngx_zertiban_inject_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->state = NGX_ZERTIBAN_SENT;

    ngx_zertiban_inject_output(ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_inject_headers(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_zertiban_copy_t       *copy;
    ngx_zertiban_headers_t     headers;
    ngx_zertiban_loc_conf_t   *zlcf;
    ngx_zertiban_main_conf_t  *zmcf;

    copy = ctx->credential->copy;

    /*
     * the gate has looked in this turn of the event loop: other workers may
     * have dropped the token since, but it is not too late to use it
     */

    if (copy == NULL
        || !ngx_zertiban_before(ngx_current_msec, copy->usable))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the token has gone before the request was built");
        return NGX_ERROR;
    }

    ctx->generation = copy->generation;
    ctx->usable = copy->usable;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    /* these variables are cached: the client's values are what they show */

    if (zmcf->authorization_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->authorization_index);
    }

    if (zmcf->tenant_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->tenant_index);
    }

    if (ngx_zertiban_headers_inject(r, &headers, &copy->value, &ctx->tenant)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ctx->create_request(r);

    ngx_zertiban_headers_restore(r, &headers);

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    ctx->trust = zlcf->trust;

    if (rc == NGX_OK && !zlcf->checked) {
        zlcf->checked = 1;
        ngx_zertiban_inject_check(r, ctx, &copy->value);
    }

    return rc;
}


/* once for a location and worker: what an operator may have taken away */

static void
ngx_zertiban_inject_check(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_str_t *value)
{
    ngx_buf_t                 *b;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  preface = ngx_string("PRI * HTTP/2.0");

    if (r->upstream->request_bufs == NULL
        || ngx_zertiban_upstream_v3(r->upstream))
    {
        return;
    }

    b = r->upstream->request_bufs->buf;

    if ((size_t) (b->last - b->pos) >= preface.len
        && ngx_memcmp(b->pos, preface.data, preface.len) == 0)
    {
        /* the headers are compressed */
        return;
    }

    if (ngx_zertiban_inject_find(b, value)) {
        return;
    }

    ngx_zertiban_counters->missing++;
    ngx_zertiban_credential_ledger(ctx->credential)->missing = ngx_time();

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the token is missing in requests of the location \"%V\": "
                  "\"Authorization\" is set there by \"proxy_set_header\" or "
                  "the like, or \"proxy_pass_request_headers\" or the like "
                  "is off", &clcf->name);
}


static ngx_uint_t
ngx_zertiban_inject_find(ngx_buf_t *b, ngx_str_t *value)
{
    u_char  *p;

    for (p = b->pos; (size_t) (b->last - p) >= value->len; p++) {
        if (ngx_memcmp(p, value->data, value->len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* as in ngx_http_upstream_init_request(), which leaves what is there */

static void
ngx_zertiban_inject_output(ngx_zertiban_ctx_t *ctx)
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


/* nothing has been written to the server before */

static ngx_int_t
ngx_zertiban_output_filter(void *data, ngx_chain_t *in)
{
    ngx_zertiban_ctx_t *ctx = data;

    ngx_zertiban_error_e  error;

    if (!ctx->output) {

        error = ngx_zertiban_inject_verdict(ctx);

        if (error) {
            return ngx_zertiban_pass_refuse(ctx->request, ctx, error);
        }

        ctx->output = 1;
    }

    return ctx->output_filter(ctx->output_ctx, in);
}


static ngx_inline ngx_zertiban_error_e
ngx_zertiban_inject_verdict(ngx_zertiban_ctx_t *ctx)
{
    /* the request may have been built long ago */

    if (!ngx_zertiban_before(ngx_current_msec, ctx->usable)) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "the token has expired before the request was sent");

        return NGX_ZERTIBAN_IDP_TIMEOUT;
    }

    if (ngx_zertiban_destination_check(ctx) != NGX_OK) {
        return NGX_ZERTIBAN_UPSTREAM_REFUSED;
    }

    return NGX_ZERTIBAN_OK;
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

    ngx_zertiban_inject_give_header(ctx);

    rc = u->process_header(r);

    ngx_zertiban_inject_take_header(ctx);

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

    ngx_zertiban_inject_give_header(ctx);

    rc = ctx->reinit_request(r);

    ngx_zertiban_inject_take_header(ctx);

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

    if (rc == NGX_HTTP_BAD_GATEWAY) {
        ngx_zertiban_replay_lost(ctx);
    }
}


/* proxy and others go on with another function after the status line */

static void
ngx_zertiban_inject_take_header(ngx_zertiban_ctx_t *ctx)
{
    ctx->process_header = ctx->upstream->process_header;
    ctx->upstream->process_header = ngx_zertiban_process_header;
}


static void
ngx_zertiban_inject_give_header(ngx_zertiban_ctx_t *ctx)
{
    ctx->upstream->process_header = ctx->process_header;
}
