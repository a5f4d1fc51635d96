
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Tokens that do not reach their goal: a request that the API answers with 401
 * is replayed once with a new token.
 *
 * u->process_header() is the place where nothing of the answer has been used:
 * ngx_http_upstream_test_next(), proxy_intercept_errors, the header filters
 * and the response cache come after it, and the request body is still whole:
 * its temporary file is closed by ngx_http_upstream_send_response(), and
 * u->create_request() has copied its buffers.
 */


#include "ngx_zertiban_replay.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_pass.h"


ngx_int_t
ngx_zertiban_replay(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    if (!ctx->output) {

        /* from ngx_http_upstream_cache_send(); r->cached outlives a redirect */

        return NGX_OK;
    }

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (ngx_zertiban_keeper_drop(ctx->credential, ctx->generation) != NGX_OK
        || ctx->replayed
        || ctx->hinted
        || !zlcf->replay
        || r->request_body_no_buffering
        || ngx_zertiban_pass_take_back(r, ctx) != NGX_OK)
    {
        ngx_zertiban_counters->passed++;
        ngx_zertiban_credential_ledger(ctx->credential)->passed = ngx_time();

        return NGX_OK;
    }

    ngx_zertiban_counters->replayed++;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the API did not accept the token, replaying the request");

    ctx->replayed = 1;

    return NGX_ERROR;
}


void
ngx_zertiban_replay_lost(ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->upstream;

    if (u->request_sent && u->headers_in.status_n == 0) {
        ngx_zertiban_keeper_doubt(ctx->credential, ctx->generation);
    }
}
