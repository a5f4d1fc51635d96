
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The gate before the content handler: a request goes on with a valid token,
 * waits for one, or is refused.
 */


#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_secret.h"
#include "ngx_zertiban_waiters.h"


/* a place among the waiters, from the first time on that a request waits */

struct ngx_zertiban_wait_s {
    ngx_zertiban_waiter_t        waiter;
    ngx_http_request_t          *request;
    ngx_zertiban_ctx_t          *ctx;
    ngx_msec_t                   start;
};


typedef struct {
    ngx_str_t                    name;
    ngx_int_t                    status;
} ngx_zertiban_error_t;


static ngx_zertiban_error_e ngx_zertiban_gate_values(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_zertiban_error_e ngx_zertiban_gate_credential(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_zertiban_loc_conf_t *zlcf);
static ngx_int_t ngx_zertiban_gate_pass(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_gate_again(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_gate_wait(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_gate_event_handler(ngx_event_t *ev);
static void ngx_zertiban_gate_cancel(ngx_event_t *ev);
static void ngx_zertiban_gate_resume(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_zertiban_gate_no_token(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_zertiban_gate_refuse(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_zertiban_error_e error, ngx_msec_t delay);
static ngx_int_t ngx_zertiban_gate_retry_after(ngx_http_request_t *r,
    ngx_msec_t delay);
static ngx_table_elt_t *ngx_zertiban_gate_header_out(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_zertiban_gate_hold(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_gate_release(void *data);
static ngx_int_t ngx_zertiban_gate_add_wait(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static void ngx_zertiban_gate_remove_wait(void *data);
static void ngx_zertiban_gate_set_ctx(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);


static ngx_str_t  ngx_zertiban_retry_after_key = ngx_string("Retry-After");


/* in the order of ngx_zertiban_error_e */

static ngx_zertiban_error_t  ngx_zertiban_errors[] = {
    { ngx_null_string, NGX_OK },
    { ngx_string("idp_unreachable"), NGX_HTTP_SERVICE_UNAVAILABLE },
    { ngx_string("idp_rejected_client"), NGX_HTTP_BAD_GATEWAY },
    { ngx_string("idp_bad_response"), NGX_HTTP_BAD_GATEWAY },
    { ngx_string("idp_rate_limited"), NGX_HTTP_SERVICE_UNAVAILABLE },
    { ngx_string("idp_timeout"), NGX_HTTP_GATEWAY_TIME_OUT },
    { ngx_string("bad_tenant"), NGX_HTTP_BAD_REQUEST },
    { ngx_string("bad_credential"), NGX_HTTP_BAD_REQUEST },
    { ngx_string("zone_full"), NGX_HTTP_SERVICE_UNAVAILABLE }
};


ngx_int_t
ngx_zertiban_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_zertiban_ctx_t       *ctx;
    ngx_zertiban_error_e      error;
    ngx_zertiban_loc_conf_t  *zlcf;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "zertiban handler");

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (zlcf->handler == NULL) {

        /*
         * r->content_handler is of an "if" block that matched first, the
         * configuration of another one, which has no handler
         */

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!zlcf->enable) {
        return zlcf->handler(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_zertiban_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_zertiban_gate_set_ctx(r, ctx);

    error = ngx_zertiban_gate_values(r, ctx);

    if (error) {
        return ngx_zertiban_gate_refuse(r, ctx, error, 0);
    }

    rc = ngx_zertiban_keeper_token(ctx->credential);

    if (rc == NGX_AGAIN) {

        if (ngx_zertiban_gate_wait(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        r->main->count++;

        return NGX_DONE;
    }

    ngx_zertiban_keeper_used(ctx->credential);

    if (rc != NGX_OK) {
        return ngx_zertiban_gate_no_token(r, ctx, rc);
    }

    return ngx_zertiban_gate_pass(r, ctx);
}


static ngx_zertiban_error_e
ngx_zertiban_gate_values(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (ngx_zertiban_value_get(r, zlcf->tenant_id, &ctx->tenant) != NGX_OK) {
        return NGX_ZERTIBAN_BAD_TENANT;
    }

    /* a literal one was checked with the configuration */

    if (!ngx_zertiban_value_literal(zlcf->tenant_id)
        && !ngx_zertiban_tenant_valid(&ctx->tenant))
    {
        ctx->tenant.len = 0;
        return NGX_ZERTIBAN_BAD_TENANT;
    }

    if (zlcf->credential) {
        ctx->credential = zlcf->credential;
        return NGX_ZERTIBAN_OK;
    }

    return ngx_zertiban_gate_credential(r, ctx, zlcf);
}


static ngx_zertiban_error_e
ngx_zertiban_gate_credential(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_loc_conf_t *zlcf)
{
    ngx_zertiban_identity_t    identity;
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    identity.url = zlcf->client.endpoint->url;
    identity.scope = zlcf->scope;

    if (ngx_zertiban_value_get(r, zlcf->client_id, &identity.id) != NGX_OK
        || ngx_zertiban_value_get(r, zlcf->client_secret, &identity.secret)
           != NGX_OK)
    {
        return NGX_ZERTIBAN_BAD_CREDENTIAL;
    }

    ctx->credential = ngx_zertiban_credential_find(zmcf->credentials,
                                                   &identity);

    if (ctx->credential) {
        return NGX_ZERTIBAN_OK;
    }

    if (ngx_zertiban_client_id_check(&identity.id)
        || ngx_zertiban_secret_check(&identity.secret))
    {
        return NGX_ZERTIBAN_BAD_CREDENTIAL;
    }

    ctx->credential = ngx_zertiban_credential_create(zmcf->credentials, NULL,
                                                     &identity, &zlcf->client,
                                                     zlcf->refresh_before);

    return ctx->credential ? NGX_ZERTIBAN_OK : NGX_ZERTIBAN_ZONE_FULL;
}


static ngx_int_t
ngx_zertiban_gate_pass(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    /* the request may be built later: after its body, or a cache lock */

    if (!ctx->credential->pinned && ngx_zertiban_gate_hold(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->again = ngx_zertiban_gate_again;

    return ngx_zertiban_inject(r, ctx);
}


/* behind the body or the cache the token may have gone; for a replay it has */

static void
ngx_zertiban_gate_again(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_zertiban_ctx_t  *ctx;

    if (r->aio) {

        /* as in ngx_http_upstream_init_request(): a thread reads the cache */

        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

    rc = ngx_zertiban_keeper_token(ctx->credential);

    if (rc == NGX_AGAIN) {

        if (ngx_zertiban_gate_wait(r, ctx) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_zertiban_gate_resume(r, ctx, rc);
}


static ngx_int_t
ngx_zertiban_gate_wait(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_event_t              *rev;
    ngx_zertiban_wait_t      *wait;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (ngx_zertiban_gate_add_wait(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* as in ngx_http_limit_req_handler(): to see that the client leaves */

    if (r == r->main && !r->post_action) {
        rev = r->connection->read;

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    r->connection->log->action = "waiting for a token";

    ctx->waited = 1;

    wait = ctx->wait;
    wait->start = ngx_current_msec;
    wait->waiter.event.timedout = 0;

    ngx_zertiban_waiters_join(ctx->credential, &wait->waiter);

    /* not cancelable: it keeps a worker process that is shutting down */

    ngx_add_timer(&wait->waiter.event, zlcf->client.timeout);

    return NGX_OK;
}


static void
ngx_zertiban_gate_event_handler(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_zertiban_ctx_t   *ctx;
    ngx_zertiban_wait_t  *wait;

    wait = ev->data;
    ctx = wait->ctx;
    r = wait->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "zertiban wait handler, timed out: %d", ev->timedout);

    ngx_zertiban_waiters_leave(&wait->waiter);

    if (ngx_http_get_module_ctx(r, ngx_zertiban_module) != ctx) {

        /* the client has left, and the request is in its post_action */

        ngx_zertiban_gate_cancel(ev);
        return;
    }

    if (ev->timedout) {
        rc = NGX_ABORT;

    } else {
        rc = ngx_zertiban_keeper_token(ctx->credential);

        if (rc == NGX_AGAIN) {
            ngx_zertiban_waiters_join(ctx->credential, &wait->waiter);
            return;
        }
    }

    ngx_zertiban_gate_cancel(ev);

    ctx->wait_time += ngx_current_msec - wait->start;

    if (r == r->main) {
        r->read_event_handler = ngx_http_block_reading;
    }

    ngx_zertiban_gate_resume(r, ctx, rc);

    ngx_http_run_posted_requests(c);
}


static void
ngx_zertiban_gate_cancel(ngx_event_t *ev)
{
    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


static void
ngx_zertiban_gate_resume(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, ngx_zertiban_gate_no_token(r, ctx, rc));
        return;
    }

    if (ctx->post_handler) {
        ngx_zertiban_inject_resume(r, ctx);
        return;
    }

    ngx_http_finalize_request(r, ngx_zertiban_gate_pass(r, ctx));
}


/* "rc" is of ngx_zertiban_keeper_token(), or NGX_ABORT: waited too long */

static ngx_int_t
ngx_zertiban_gate_no_token(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_int_t rc)
{
    ngx_msec_t             delay;
    ngx_zertiban_view_t   *view;
    ngx_zertiban_error_e   error;

    view = &ctx->credential->view;
    delay = 0;

    switch (rc) {

    case NGX_DECLINED:
        error = view->error;
        delay = view->delay;
        break;

    case NGX_ABORT:
        error = NGX_ZERTIBAN_IDP_TIMEOUT;
        break;

    default: /* NGX_ERROR */
        error = NGX_ZERTIBAN_ZONE_FULL;
        break;
    }

    return ngx_zertiban_gate_refuse(r, ctx, error, delay);
}


static ngx_int_t
ngx_zertiban_gate_refuse(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_error_e error, ngx_msec_t delay)
{
    ngx_int_t  status;

    ctx->error = error;

    status = ngx_zertiban_errors[error].status;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "request refused without a token: %V",
                  &ngx_zertiban_errors[error].name);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_zertiban_gate_retry_after(r, delay) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return status;
}


static ngx_int_t
ngx_zertiban_gate_retry_after(ngx_http_request_t *r, ngx_msec_t delay)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* an error page may have been refused as well */

    h = ngx_zertiban_gate_header_out(r, &ngx_zertiban_retry_after_key);

    if (h == NULL) {

        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->hash = 1;
        h->key = ngx_zertiban_retry_after_key;
    }

    h->value.data = p;
    h->value.len = ngx_sprintf(p, "%M", ngx_max((delay + 999) / 1000, 1)) - p;

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_zertiban_gate_header_out(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash
                && h[i].key.len == key->len
                && ngx_strncasecmp(h[i].key.data, key->data, key->len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


static ngx_int_t
ngx_zertiban_gate_hold(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_pool_cleanup_t  *cln;

    if (ctx->held) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_zertiban_gate_release;
    cln->data = ctx->credential;

    ngx_zertiban_credential_hold(ctx->credential);
    ctx->held = 1;

    return NGX_OK;
}


static void
ngx_zertiban_gate_release(void *data)
{
    ngx_zertiban_credential_t *credential = data;

    ngx_zertiban_credential_release(credential);
}


static ngx_int_t
ngx_zertiban_gate_add_wait(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_event_t          *ev;
    ngx_pool_cleanup_t   *cln;
    ngx_zertiban_wait_t  *wait;

    if (ctx->wait) {
        return NGX_OK;
    }

    if (!ctx->credential->pinned && ngx_zertiban_gate_hold(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_zertiban_wait_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    wait = cln->data;
    ngx_memzero(wait, sizeof(ngx_zertiban_wait_t));

    wait->request = r;
    wait->ctx = ctx;

    ev = &wait->waiter.event;

    ev->handler = ngx_zertiban_gate_event_handler;
    ev->data = wait;
    ev->log = r->connection->log;

    cln->handler = ngx_zertiban_gate_remove_wait;

    ctx->wait = wait;

    return NGX_OK;
}


static void
ngx_zertiban_gate_remove_wait(void *data)
{
    ngx_zertiban_wait_t *wait = data;

    ngx_zertiban_gate_cancel(&wait->waiter.event);

    ngx_zertiban_waiters_leave(&wait->waiter);
}


/*
 * A redirect zeroes r->ctx, but leaves the variables: a slot among them, which
 * has no name that a configuration could use, leads to all passes.
 */

static void
ngx_zertiban_gate_set_ctx(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_zertiban_main_conf_t   *zmcf;
    ngx_http_variable_value_t  *v;

    ngx_http_set_ctx(r, ctx, ngx_zertiban_module);

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    v = &r->variables[zmcf->ctx_index];

    ctx->request = r;
    ctx->prev = (ngx_zertiban_ctx_t *) v->data;

    v->data = (u_char *) ctx;
}


ngx_zertiban_ctx_t *
ngx_zertiban_get_ctx(ngx_http_request_t *r)
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


ngx_msec_t
ngx_zertiban_wait_time(ngx_zertiban_ctx_t *ctx)
{
    if (ctx->wait && ctx->wait->waiter.credential) {
        return ctx->wait_time + ngx_current_msec - ctx->wait->start;
    }

    return ctx->wait_time;
}


ngx_str_t *
ngx_zertiban_error_name(ngx_zertiban_error_e error)
{
    return &ngx_zertiban_errors[error].name;
}
