
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The gate before the content handler: a request goes on with a valid token,
 * waits for one, or is refused.
 */


#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_destination.h"
#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_pass.h"
#include "ngx_zertiban_secret.h"
#include "ngx_zertiban_wait.h"


typedef struct {
    ngx_str_t                    name;
    ngx_int_t                    status;
} ngx_zertiban_error_t;


static ngx_zertiban_error_e ngx_zertiban_gate_values(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_zertiban_error_e ngx_zertiban_gate_credential(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_zertiban_loc_conf_t *zlcf);
static ngx_int_t ngx_zertiban_gate_look(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_int_t ngx_zertiban_gate_decide(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_zertiban_gate_told(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_inline ngx_int_t ngx_zertiban_gate_pass(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_int_t ngx_zertiban_gate_no_token(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_zertiban_gate_refuse(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx, ngx_zertiban_error_e error, ngx_msec_t delay);
static ngx_table_elt_t *ngx_zertiban_gate_header_out(ngx_http_request_t *r,
    ngx_str_t *key);


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
    { ngx_string("zone_full"), NGX_HTTP_SERVICE_UNAVAILABLE },
    { ngx_string("busy"), NGX_HTTP_SERVICE_UNAVAILABLE },
    { ngx_string("upstream_refused"), NGX_HTTP_INTERNAL_SERVER_ERROR }
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
         * configuration of another one, which has no handler: as in
         * ngx_http_upstream_init_request()
         */

        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "no upstream configuration");

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!zlcf->enable) {
        return zlcf->handler(r);
    }

    if (zlcf->wrapper) {
        ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);

        if (ctx && ctx->wrapped && ctx->state == NGX_ZERTIBAN_GATED) {
            return ngx_zertiban_gate_look(r, ctx);
        }
    }

    ctx = ngx_zertiban_pass_create(r, ngx_zertiban_gate_look);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (zlcf->trust == NGX_ZERTIBAN_TRUST_NONE) {
        ngx_zertiban_destination_refused(r, zlcf);
        return ngx_zertiban_gate_refuse(r, ctx, NGX_ZERTIBAN_UPSTREAM_REFUSED,
                                        0);
    }

    error = ngx_zertiban_gate_values(r, ctx);

    if (error) {
        return ngx_zertiban_gate_refuse(r, ctx, error, 0);
    }

    rc = ngx_zertiban_keeper_token(ctx->credential);

    /* nearly always */

    if (rc == NGX_OK) {
        ctx->credential->tally->hits++;
        return ngx_zertiban_gate_pass(r, ctx);
    }

    ctx->uncounted = 1;

    return ngx_zertiban_gate_decide(r, ctx, rc);
}


ngx_int_t
ngx_zertiban_gate_answer(ngx_http_request_t *r, ngx_zertiban_pass_pt answer)
{
    ngx_zertiban_ctx_t       *ctx;
    ngx_zertiban_error_e      error;
    ngx_zertiban_loc_conf_t  *zlcf;

    ctx = ngx_zertiban_pass_create(r, ngx_zertiban_gate_look);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->answer = answer;
    ctx->uncounted = 1;

    /* whose business the token will be used for is not known here */

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    ctx->credential = zlcf->credential;

    error = ctx->credential ? NGX_ZERTIBAN_OK
                            : ngx_zertiban_gate_credential(r, ctx, zlcf);

    if (error) {
        return ngx_zertiban_gate_refuse(r, ctx, error, 0);
    }

    return ngx_zertiban_gate_look(r, ctx);
}


static ngx_zertiban_error_e
ngx_zertiban_gate_values(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (ngx_zertiban_value_literal(zlcf->tenant_id)) {

        /* it was checked with the configuration */

        ctx->tenant = zlcf->tenant_id->complex.value;

    } else if (ngx_zertiban_gate_tenant(r, zlcf, &ctx->tenant) != NGX_OK) {
        return NGX_ZERTIBAN_BAD_TENANT;
    }

    if (zlcf->credential) {
        ctx->credential = zlcf->credential;
        return NGX_ZERTIBAN_OK;
    }

    return ngx_zertiban_gate_credential(r, ctx, zlcf);
}


ngx_int_t
ngx_zertiban_gate_tenant(ngx_http_request_t *r, ngx_zertiban_loc_conf_t *zlcf,
    ngx_str_t *tenant)
{
    if (ngx_zertiban_value_get(r, zlcf->tenant_id, tenant) == NGX_OK
        && ngx_zertiban_tenant_valid(tenant))
    {
        return NGX_OK;
    }

    ngx_str_null(tenant);

    return NGX_ERROR;
}


static ngx_zertiban_error_e
ngx_zertiban_gate_credential(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_zertiban_loc_conf_t *zlcf)
{
    ngx_zertiban_identity_t    identity;
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    identity.grant = &zlcf->source->grant;
    identity.kind = NGX_ZERTIBAN_BY_SECRET;

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
                                                     NULL, &identity);

    return ctx->credential ? NGX_ZERTIBAN_OK : NGX_ZERTIBAN_BUSY;
}


/* all that happens to a pass, but for the end of a wait, leads here */

static ngx_int_t
ngx_zertiban_gate_look(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    if (ctx->verdict) {
        return ngx_zertiban_gate_refuse(r, ctx, ctx->verdict, 0);
    }

    return ngx_zertiban_gate_decide(r, ctx,
                                    ngx_zertiban_keeper_token(ctx->credential));
}


static ngx_int_t
ngx_zertiban_gate_decide(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc == NGX_OK) {

        if (ctx->uncounted) {
            ctx->uncounted = 0;

            if (ctx->waited) {
                ctx->credential->tally->waits++;

            } else {
                ctx->credential->tally->hits++;
            }
        }

        return ctx->answer ? ngx_zertiban_gate_told(r, ctx)
                           : ngx_zertiban_gate_pass(r, ctx);
    }

    if (rc == NGX_AGAIN) {
        return ngx_zertiban_wait(r, ctx, ngx_zertiban_gate_decide);
    }

    return ngx_zertiban_gate_no_token(r, ctx, rc);
}


static ngx_int_t
ngx_zertiban_gate_told(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_zertiban_keeper_used(ctx->credential);

    ctx->state = NGX_ZERTIBAN_DONE;

    return ctx->answer(r, ctx);
}


static ngx_inline ngx_int_t
ngx_zertiban_gate_pass(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_zertiban_loc_conf_t  *zlcf;

    if (!ctx->waited) {
        ngx_zertiban_keeper_used(ctx->credential);
    }

    if (ctx->upstream) {

        /* the reference is the upstream's, the caller's will be finalized */

        r->main->count++;

        ngx_zertiban_pass_hand_over(r, ctx);

        return NGX_DONE;
    }

    /* the request may be built later: after its body, or a cache lock */

    if (!ctx->credential->pinned && ngx_zertiban_wait_hold(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (zlcf->wrapper && !ctx->wrapped) {

        /* it comes back through ngx_zertiban_handler() */

        ctx->wrapped = 1;

        return zlcf->wrapper(r);
    }

    rc = ngx_zertiban_pass_build(r, ctx, zlcf->handler);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return rc;
    }

    ngx_zertiban_inject(ctx);

    if (rc == NGX_OK) {
        ngx_zertiban_pass_hand_over(r, ctx);
    }

    return NGX_DONE;
}


/*
 * "rc" is of ngx_zertiban_keeper_token(), called just now, or NGX_ABORT: waited
 * too long
 */

static ngx_int_t
ngx_zertiban_gate_no_token(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx,
    ngx_int_t rc)
{
    ngx_msec_t             delay;
    ngx_zertiban_look_t   *look;
    ngx_zertiban_error_e   error;

    look = &ngx_zertiban_credential_set(ctx->credential)->look;
    delay = 0;

    switch (rc) {

    case NGX_DECLINED:
        error = look->error;
        delay = look->delay;
        break;

    case NGX_ABORT:
        error = NGX_ZERTIBAN_IDP_TIMEOUT;
        break;

    case NGX_BUSY:
        error = NGX_ZERTIBAN_BUSY;
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
    ngx_int_t                  status;
    ngx_zertiban_main_conf_t  *zmcf;

    ctx->state = NGX_ZERTIBAN_DONE;
    ctx->error = error;
    ctx->uncounted = 0;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    ngx_zertiban_counters->refused[error]++;
    ngx_zertiban_credentials_ledger(zmcf->credentials)->refused[error]
                                                                = ngx_time();

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


ngx_int_t
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


ngx_str_t *
ngx_zertiban_error_name(ngx_zertiban_error_e error)
{
    return &ngx_zertiban_errors[error].name;
}


ngx_int_t
ngx_zertiban_error_status(ngx_zertiban_error_e error)
{
    return ngx_zertiban_errors[error].status;
}
