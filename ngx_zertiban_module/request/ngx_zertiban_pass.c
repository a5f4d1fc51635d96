
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The pass of a request through the gate, and all that it borrows from the
 * request: r->aio, its event handlers, that of its body, and a reference.
 */


#include "ngx_zertiban_pass.h"


static ngx_int_t ngx_zertiban_pass_add_write_event(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_pass_check(ngx_http_request_t *r,
    ngx_http_upstream_t *prev);
static void ngx_zertiban_pass_body_handler(ngx_http_request_t *r);
static void ngx_zertiban_pass_event_handler(ngx_http_request_t *r);


ngx_zertiban_ctx_t *
ngx_zertiban_pass_last(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t        *ctx;
    ngx_zertiban_main_conf_t  *zmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    ctx = (ngx_zertiban_ctx_t *) r->variables[zmcf->ctx_index].data;

    while (ctx && ctx->request != r) {
        ctx = ctx->prev;
    }

    return ctx;
}


/* ngx_http_filter_finalize_request() zeroes r->ctx under a live upstream */

ngx_zertiban_ctx_t *
ngx_zertiban_pass_find(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t        *ctx;
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    ctx = (ngx_zertiban_ctx_t *) r->variables[zmcf->ctx_index].data;

    while (ctx && ctx->upstream != r->upstream) {
        ctx = ctx->prev;
    }

    return ctx;
}


/*
 * Content handlers of upstreams hand their request to ngx_http_upstream_init()
 * as soon as the body was read, maybe before they return: there is no moment
 * between ngx_http_upstream_create() and u->create_request().  It is made by
 * r->aio, for which ngx_http_upstream_init_request() returns at once.
 *
 * Nothing that looks at r->aio may run under it.  The handlers are nginx's own,
 * and send nothing; what they evaluate are variables.
 */

ngx_int_t
ngx_zertiban_pass_build(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_http_handler_pt handler)
{
    ngx_int_t             rc;
    ngx_uint_t            unread;
    ngx_http_upstream_t  *u;

    if (ngx_zertiban_pass_add_write_event(r) != NGX_OK) {
        ctx->state = NGX_ZERTIBAN_DONE;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* as in ngx_http_read_client_request_body() */

    unread = (r == r->main && r->request_body == NULL && !r->discard_body);

    if (unread) {

        /* ngx_http_v2_read_request_body() finds none in a stream with error */

        if (r->connection->error && ngx_zertiban_pass_has_body(r)) {
            ctx->state = NGX_ZERTIBAN_DONE;
            return NGX_HTTP_CLIENT_CLOSED_REQUEST;
        }

        r->read_event_handler = ngx_http_block_reading;
    }

    ctx->state = NGX_ZERTIBAN_BUILDING;

    u = r->upstream;

    r->aio = 1;

    rc = handler(r);

    r->aio = 0;

    if (rc == NGX_DONE) {
        rc = ngx_zertiban_pass_check(r, u);
    }

    if (rc != NGX_OK) {
        ctx->state = NGX_ZERTIBAN_DONE;
        return rc;
    }

    ctx->upstream = r->upstream;

    /* what reads the body has put a handler of its own there */

    if (unread && r->read_event_handler != ngx_http_block_reading) {
        r->request_body->post_handler = ngx_zertiban_pass_body_handler;
        ctx->reading = 1;
        return NGX_AGAIN;
    }

    return NGX_OK;
}


/* as in ngx_http_upstream_init(), which would end the request if it failed */

static ngx_int_t
ngx_zertiban_pass_add_write_event(ngx_http_request_t *r)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (wev->active
        || !(ngx_event_flags & NGX_USE_CLEAR_EVENT)
        || ngx_zertiban_multiplexed(r))
    {
        return NGX_OK;
    }

    return ngx_add_event(wev, NGX_WRITE_EVENT, NGX_CLEAR_EVENT);
}


/* sees that r->aio has done what it is for, with this version of nginx, too */

static ngx_int_t
ngx_zertiban_pass_check(ngx_http_request_t *r, ngx_http_upstream_t *prev)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u && u != prev && u->request_bufs == NULL && u->cleanup == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, r->connection->log, 0,
                  "the upstream request was built without a token: this "
                  "nginx is not one that ngx_zertiban_module knows");

    if (u && u->cleanup) {
        (*u->cleanup)(r);
    }

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * of r->request_body; if the reading has failed, it may go on behind an error
 * page, and its end has no reference
 */

static void
ngx_zertiban_pass_body_handler(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    if (ctx == NULL || !ctx->reading) {
        return;
    }

    ctx->reading = 0;

    ngx_http_finalize_request(r, ctx->look(r, ctx));
}


/*
 * ngx_http_upstream_init_request() waits for a cache lock or a cache file in
 * r->write_event_handler.  The token may go meanwhile, and create_request()
 * cannot wait for another one: ctx->look() comes before.
 */

void
ngx_zertiban_pass_not_built(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    if (ngx_http_get_module_ctx(r, ngx_zertiban_module) != ctx) {
        return;
    }

#if (NGX_HTTP_CACHE)

    if (r->cache && (r->cache->waiting || r->cache->reading)) {
        r->write_event_handler = ngx_zertiban_pass_event_handler;
        return;
    }

#endif

    /* answered from the cache, or ended with an error */

    ctx->state = NGX_ZERTIBAN_DONE;
}


/*
 * ngx_http_upstream_cleanup() finalizes the request with NGX_DONE, and so does
 * ngx_http_upstream_finalize_request(), which NGX_ERROR leads to: it finds no
 * u->cleanup then.
 */

ngx_int_t
ngx_zertiban_pass_take_back(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->upstream;

    if (ctx->state != NGX_ZERTIBAN_SENT
        || u->cleanup == NULL
        || ngx_http_post_request(r, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->state = NGX_ZERTIBAN_REPLAYING;

    r->main->count += 2;

    (*u->cleanup)(r);

    /* ngx_http_upstream_next(), if it comes first, has nobody to turn to */

    u->peer.tries = 0;
    u->peer.cached = 0;

    ctx->upstream = NULL;

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_zertiban_pass_event_handler;

    r->connection->log->action = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_pass_refuse(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_error_e error)
{
    if (ngx_zertiban_pass_take_back(r, ctx) == NGX_OK) {
        ctx->verdict = error;
    }

    return NGX_ERROR;
}


/*
 * r->write_event_handler of a request that was taken back or waits for the
 * cache.  Whatever happens to the connection, or to requests that share it, may
 * call it: it goes on once, and not before it is time.
 */

static void
ngx_zertiban_pass_event_handler(ngx_http_request_t *r)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    if (ctx == NULL
        || (ctx->state != NGX_ZERTIBAN_BUILDING
            && ctx->state != NGX_ZERTIBAN_REPLAYING))
    {
        return;
    }

#if (NGX_HTTP_CACHE)

    /* as in ngx_http_upstream_init_request() and ngx_http_file_cache_open() */

    if (ctx->state == NGX_ZERTIBAN_BUILDING && (r->aio || r->cache->waiting)) {
        return;
    }

#endif

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, ctx->look(r, ctx));
}


/*
 * While a body is discarded, ngx_http_finalize_connection() sees to the reading
 * of it.
 */

ngx_int_t
ngx_zertiban_pass_pause(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_uint_t abort)
{
    ngx_event_t          *rev;
    ngx_http_upstream_t  *u;

    /* as in ngx_http_limit_req_handler() */

    if (abort && r == r->main && !r->post_action && !r->discard_body) {
        rev = r->connection->read;

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        ctx->read_event_handler = r->read_event_handler;
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    /*
     * a filter has put this request in the place of an answer, and its upstream
     * would end the request: as in ngx_http_upstream_create()
     */

    u = r->upstream;

    if (ctx->upstream == NULL && u && u->cleanup) {
        r->main->count++;
        (*u->cleanup)(r);
    }

    r->connection->log->action = "waiting for a token";

    ctx->state = NGX_ZERTIBAN_WAITING;

    return NGX_OK;
}


void
ngx_zertiban_pass_resume(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ctx->read_event_handler;
    }

    r->connection->log->action = NULL;

    ctx->state = ctx->upstream ? NGX_ZERTIBAN_BUILDING : NGX_ZERTIBAN_GATED;
}
