
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A request that the API answers with 401 is replayed once with a new token.
 *
 * u->process_header is the place where nothing of the answer has been used:
 * ngx_http_upstream_test_next(), proxy_intercept_errors, the header filters
 * and the response cache come after it, and the request body is still whole:
 * its temporary file is closed by ngx_http_upstream_send_response(), and
 * u->create_request() has copied its buffers.
 */


#include "ngx_zertiban_replay.h"
#include "ngx_zertiban_keeper.h"


static ngx_int_t ngx_zertiban_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_unauthorized(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);


void
ngx_zertiban_replay_watch(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ctx->process_header = u->process_header;
    u->process_header = ngx_zertiban_process_header;

    ctx->reinit_request = u->reinit_request;
    u->reinit_request = ngx_zertiban_reinit_request;
}


static ngx_int_t
ngx_zertiban_process_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_zertiban_ctx_t   *ctx;
    ngx_http_upstream_t  *u;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    u = r->upstream;

    /* proxy and others go on with another function after the status line */

    u->process_header = ctx->process_header;

    rc = u->process_header(r);

    ctx->process_header = u->process_header;
    u->process_header = ngx_zertiban_process_header;

    if (rc == NGX_OK && u->headers_in.status_n == NGX_HTTP_UNAUTHORIZED) {
        return ngx_zertiban_unauthorized(r, ctx);
    }

    if (ngx_zertiban_early_hints(rc)) {
        ctx->hinted = 1;
    }

    return rc;
}


/* before the next server is tried */

static ngx_int_t
ngx_zertiban_reinit_request(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_zertiban_ctx_t   *ctx;
    ngx_http_upstream_t  *u;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    u = r->upstream;

    u->process_header = ctx->process_header;

    rc = ctx->reinit_request(r);

    ctx->process_header = u->process_header;
    u->process_header = ngx_zertiban_process_header;

    return rc;
}


static ngx_int_t
ngx_zertiban_unauthorized(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t      *u;
    ngx_zertiban_loc_conf_t  *zlcf;

#if (NGX_HTTP_CACHE)

    if (r->cached) {
        return NGX_OK;
    }

#endif

    u = r->upstream;
    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (ngx_zertiban_keeper_drop(ctx->credential, ctx->generation) != NGX_OK
        || ctx->replayed
        || ctx->hinted
        || !zlcf->replay
        || r->request_body_no_buffering
        || u->cleanup == NULL)
    {
        return NGX_OK;
    }

    if (ngx_http_post_request(r, NULL) != NGX_OK) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the API did not accept the token, replaying the request");

    /*
     * ngx_http_upstream_cleanup() finalizes the request with NGX_DONE, and so
     * does ngx_http_upstream_finalize_request(), which the caller will call
     * for NGX_ERROR: it finds no u->cleanup
     */

    ctx->replayed = 1;
    ctx->post_handler = NULL;

    r->main->count += 2;

    (*u->cleanup)(r);

    r->write_event_handler = ctx->again;

    return NGX_ERROR;
}
