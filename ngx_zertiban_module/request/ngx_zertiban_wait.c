
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A request that waits for a token.
 */


#include "ngx_zertiban_wait.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_pass.h"
#include "ngx_zertiban_waiters.h"


/* a place among the waiters, from the first time on that a pass waits */

struct ngx_zertiban_wait_s {
    ngx_zertiban_waiter_t        waiter;
    ngx_zertiban_ctx_t          *ctx;
    ngx_zertiban_wait_pt         handler;
    ngx_msec_t                   start;
};


static ngx_int_t ngx_zertiban_wait_create(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_wait_handler(ngx_event_t *ev);
static void ngx_zertiban_wait_cancel(ngx_event_t *ev);
static void ngx_zertiban_wait_free(void *data);
static void ngx_zertiban_wait_abort(ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_wait_release(void *data);


ngx_int_t
ngx_zertiban_wait(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_wait_pt handler)
{
    ngx_uint_t                abort;
    ngx_zertiban_wait_t      *wait;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    /* as in ngx_http_upstream_init_request() */

    abort = (zlcf->upstream == NULL
             || (!zlcf->upstream->store
                 && !zlcf->upstream->ignore_client_abort));

    if (ngx_zertiban_wait_create(r, ctx) != NGX_OK
        || ngx_zertiban_pass_pause(r, ctx, abort) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->waited = 1;

    wait = ctx->wait;
    wait->handler = handler;
    wait->start = ngx_current_msec;
    wait->waiter.event.timedout = 0;

    ngx_zertiban_waiters_join(ctx->credential, &wait->waiter);
    ctx->credential->tally->waiting++;

    /* not cancelable: it keeps a worker process that is shutting down */

    ngx_add_timer(&wait->waiter.event, zlcf->client.timeout);

    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_zertiban_wait_create(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_event_t          *ev;
    ngx_pool_cleanup_t   *cln;
    ngx_zertiban_wait_t  *wait;

    if (ctx->wait) {
        return NGX_OK;
    }

    if (ngx_zertiban_wait_hold(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_zertiban_wait_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    wait = cln->data;
    ngx_memzero(wait, sizeof(ngx_zertiban_wait_t));

    wait->ctx = ctx;

    ev = &wait->waiter.event;

    ev->handler = ngx_zertiban_wait_handler;
    ev->data = wait;
    ev->log = r->connection->log;

    cln->handler = ngx_zertiban_wait_free;

    ctx->wait = wait;

    return NGX_OK;
}


static void
ngx_zertiban_wait_handler(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_zertiban_ctx_t   *ctx;
    ngx_zertiban_wait_t  *wait;

    wait = ev->data;
    ctx = wait->ctx;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "zertiban wait handler, timed out: %d", ev->timedout);

    ngx_zertiban_waiters_leave(&wait->waiter);

    if (ngx_http_get_module_ctx(r, ngx_zertiban_module) != ctx) {

        /* the client has left, and the request is in its post_action */

        ngx_zertiban_wait_cancel(ev);
        ngx_zertiban_wait_abort(ctx);
        return;
    }

    if (!ev->timedout) {
        rc = ngx_zertiban_keeper_token(ctx->credential);

    } else if (ngx_zertiban_keeper_look(ctx->credential, 0) == NGX_OK) {

        /* it came in this turn: timers expire before what was posted */

        rc = NGX_OK;

    } else {
        rc = NGX_ABORT;
    }

    if (rc == NGX_AGAIN) {
        ngx_zertiban_waiters_join(ctx->credential, &wait->waiter);
        return;
    }

    ngx_zertiban_wait_cancel(ev);

    ctx->credential->tally->waiting--;
    ctx->wait_time += ngx_current_msec - wait->start;

    ngx_zertiban_counters_time(&ngx_zertiban_counters->waits,
                               ngx_zertiban_wait_bounds,
                               ngx_current_msec - wait->start);

    ngx_zertiban_pass_resume(r, ctx);

    ngx_http_finalize_request(r, wait->handler(r, ctx, rc));

    ngx_http_run_posted_requests(c);
}


static void
ngx_zertiban_wait_cancel(ngx_event_t *ev)
{
    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


static void
ngx_zertiban_wait_free(void *data)
{
    ngx_zertiban_wait_t *wait = data;

    ngx_zertiban_wait_cancel(&wait->waiter.event);

    if (wait->waiter.credential) {
        ngx_zertiban_wait_abort(wait->ctx);
        ngx_zertiban_waiters_leave(&wait->waiter);
    }
}


/* its client has left */

static void
ngx_zertiban_wait_abort(ngx_zertiban_ctx_t *ctx)
{
    ctx->credential->tally->waiting--;

    if (ctx->uncounted) {
        ctx->uncounted = 0;
        ngx_zertiban_counters->aborted++;
    }
}


ngx_int_t
ngx_zertiban_wait_hold(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_pool_cleanup_t  *cln;

    if (ctx->held || ctx->credential->pinned) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_zertiban_wait_release;
    cln->data = ctx->credential;

    ngx_zertiban_credential_hold(ctx->credential);
    ctx->held = 1;

    return NGX_OK;
}


static void
ngx_zertiban_wait_release(void *data)
{
    ngx_zertiban_credential_t *credential = data;

    ngx_zertiban_credential_release(credential);
}


ngx_msec_t
ngx_zertiban_wait_time(ngx_zertiban_ctx_t *ctx)
{
    if (ctx->wait && ctx->wait->waiter.credential) {
        return ctx->wait_time + ngx_current_msec - ctx->wait->start;
    }

    return ctx->wait_time;
}
