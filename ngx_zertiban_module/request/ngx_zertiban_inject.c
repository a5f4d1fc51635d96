
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The headers are the upstream's only while it builds its request.
 *
 * proxy, grpc, fastcgi, uwsgi and scgi hand their request to
 * ngx_http_upstream_init() from within their content handlers, so there is no
 * moment between ngx_http_upstream_create(), after which u->create_request may
 * be wrapped, and its call.  Two facts make one:
 *
 * - ngx_http_upstream_init_request() returns at once if r->aio is set.  It is
 *   called again when create_request is wrapped.
 *
 * - ngx_http_upstream_create() finalizes a previous r->upstream that has a
 *   cleanup.  Handlers of other kinds must not see r->aio, so a handler that is
 *   not known yet is probed: a static upstream is put there, and if its
 *   finalize_request is called, the handler is an upstream's.
 */


#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_headers.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_replay.h"


static ngx_int_t ngx_zertiban_inject_probe(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_http_handler_pt handler);
static ngx_int_t ngx_zertiban_inject_none(ngx_http_request_t *r,
    ngx_http_upstream_t *u, ngx_int_t rc);
static ngx_int_t ngx_zertiban_inject_hook(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_uint_t immediate);
static void ngx_zertiban_inject_run(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_http_event_handler_pt handler);
static void ngx_zertiban_upstream_created(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_zertiban_create_request(ngx_http_request_t *r);
static void ngx_zertiban_inject_check(ngx_http_request_t *r,
    ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *value);
static ngx_uint_t ngx_zertiban_inject_find(ngx_buf_t *b, ngx_str_t *value);


static ngx_http_cleanup_pt  ngx_zertiban_sentinel_cleanup;
static ngx_http_upstream_t  ngx_zertiban_sentinel;


ngx_int_t
ngx_zertiban_inject(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_uint_t                immediate;
    ngx_http_upstream_t      *u;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    /* ngx_http_read_client_request_body() has nothing to read then */

    immediate = (r != r->main || r->request_body || r->discard_body);

    ctx->built = 0;

    if (!zlcf->upstream) {

        ctx->upstream = 0;

        rc = ngx_zertiban_inject_probe(r, ctx, zlcf->handler);

        if (!ctx->upstream) {
            return rc;
        }

        u = r->upstream;

    } else {

        u = r->upstream;

        r->read_event_handler = ngx_http_block_reading;
        r->aio = 1;

        rc = zlcf->handler(r);

        u = (r->upstream != u) ? r->upstream : NULL;
    }

    if (u == NULL
        || u->create_request == NULL
        || ngx_http_get_module_ctx(r, ngx_zertiban_module) != ctx)
    {
        return ngx_zertiban_inject_none(r, u, rc);
    }

    r->aio = 0;

    if (rc != NGX_DONE) {
        return rc;
    }

    zlcf->upstream = 1;

    ngx_zertiban_replay_watch(r, ctx);

    return ngx_zertiban_inject_hook(r, ctx, immediate);
}


/* sets ctx->upstream and r->aio if the handler makes an upstream */

static ngx_int_t
ngx_zertiban_inject_probe(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_http_handler_pt handler)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;
#if (NGX_HTTP_CACHE)
    ngx_http_cache_t     *cache;
#endif

    u = r->upstream;

    if (u == &ngx_zertiban_sentinel) {

        /* a redirect by a handler that is not of an upstream */

        u = NULL;

    } else if (u && u->cleanup) {

        /* as in ngx_http_upstream_create(), which will not see it */

        r->main->count++;
        (*u->cleanup)(r);
    }

    ngx_zertiban_sentinel.cleanup = &ngx_zertiban_sentinel_cleanup;
    ngx_zertiban_sentinel.finalize_request = ngx_zertiban_upstream_created;

    r->upstream = &ngx_zertiban_sentinel;

#if (NGX_HTTP_CACHE)

    /* it is of an upstream that was, and not to be freed with the sentinel */

    cache = r->cache;
    r->cache = NULL;

#endif

    rc = handler(r);

    if (r->upstream == &ngx_zertiban_sentinel) {
        r->upstream = u;

#if (NGX_HTTP_CACHE)
        r->cache = cache;
#endif
    }

    return rc;
}


/*
 * Modules that purge a cache make an upstream to get at it only, and end the
 * request at once, maybe by a redirect to another location.  What they send,
 * and "u", the upstream of that location, wait for r->aio.
 */

static ngx_int_t
ngx_zertiban_inject_none(ngx_http_request_t *r, ngx_http_upstream_t *u,
    ngx_int_t rc)
{
    /* a read of a file is something else */

    if (!r->aio || r->main->blocked) {
        return rc;
    }

    r->aio = 0;

    if (rc != NGX_DONE) {
        return rc;
    }

    if (u && u->create_request) {

        if (r->discard_body
            || r->read_event_handler == ngx_http_block_reading)
        {
            ngx_http_upstream_init(r);
        }

        return NGX_DONE;
    }

    return (ngx_http_post_request(r, NULL) == NGX_OK) ? NGX_DONE : NGX_ERROR;
}


static ngx_int_t
ngx_zertiban_inject_hook(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_uint_t immediate)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ctx->create_request = u->create_request;
    u->create_request = ngx_zertiban_create_request;

    if (immediate || r->read_event_handler == ngx_http_block_reading) {
        ngx_zertiban_inject_run(r, ctx, ngx_http_upstream_init);
        return NGX_DONE;
    }

    ctx->post_handler = r->request_body->post_handler;
    r->request_body->post_handler = ctx->again;

    return NGX_DONE;
}


void
ngx_zertiban_inject_resume(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_http_event_handler_pt  handler;

    handler = ctx->post_handler;
    ctx->post_handler = NULL;

    /* the upstream may end the request, which is looked at afterwards */

    r->main->count++;

    ngx_zertiban_inject_run(r, ctx, handler);

    ngx_http_finalize_request(r, NGX_DONE);
}


/*
 * ngx_http_upstream_init_request() waits for a cache lock or a cache file in
 * r->write_event_handler.  The token may expire or be dropped meanwhile, and
 * create_request() cannot wait for another one.
 */

static void
ngx_zertiban_inject_run(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_http_event_handler_pt handler)
{
    handler(r);

#if (NGX_HTTP_CACHE)

    if (ctx->built
        || r->cache == NULL
        || !(r->cache->waiting || r->cache->reading))
    {
        return;
    }

    ctx->post_handler = r->write_event_handler;
    r->write_event_handler = ctx->again;

#endif
}


static void
ngx_zertiban_upstream_created(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    /* a redirect has zeroed r->ctx: the upstream is of another location */

    if (ctx == NULL) {
        return;
    }

    ctx->upstream = 1;
    r->aio = 1;
}


static ngx_int_t
ngx_zertiban_create_request(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                 *value;
    ngx_zertiban_ctx_t        *ctx;
    ngx_zertiban_view_t       *view;
    ngx_zertiban_headers_t     headers;
    ngx_zertiban_loc_conf_t   *zlcf;
    ngx_zertiban_main_conf_t  *zmcf;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);
    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);
    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    view = &ctx->credential->view;

    /*
     * the gate has looked in this turn of the event loop: other workers may
     * have dropped the token since, but it is not too late to use it
     */

    if (view->generation == 0
        || !ngx_zertiban_before(ngx_current_msec, view->usable))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the token has gone before the request was built");
        return NGX_ERROR;
    }

    ctx->built = 1;

    /* these variables are cached: the client's values are what they show */

    if (zmcf->authorization_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->authorization_index);
    }

    if (zmcf->tenant_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->tenant_index);
    }

    value = &view->value;
    ctx->generation = view->generation;

    if (ngx_zertiban_headers_inject(r, &headers, value, &ctx->tenant)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ctx->create_request(r);

    ngx_zertiban_headers_restore(r, &headers);

    if (rc == NGX_OK && !zlcf->checked) {
        zlcf->checked = 1;
        ngx_zertiban_inject_check(r, zlcf, value);
    }

    return rc;
}


/* once for a location and worker: what an operator may have taken away */

static void
ngx_zertiban_inject_check(ngx_http_request_t *r, ngx_zertiban_loc_conf_t *zlcf,
    ngx_str_t *value)
{
    ngx_buf_t                 *b;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  preface = ngx_string("PRI * HTTP/2.0");

    if (r->upstream->request_bufs == NULL) {
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
