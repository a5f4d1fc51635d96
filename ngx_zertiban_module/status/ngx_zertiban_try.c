
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A credential that an operator tries: a request that has its token asked for
 * now, waits for the end of the exchange, and says what it was.
 */


#include "ngx_zertiban_try.h"
#include "ngx_zertiban_access.h"
#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_form.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_outcome.h"
#include "ngx_zertiban_waiters.h"


#define NGX_ZERTIBAN_TRY_SPARE  2000    /* ms, besides the exchange: for one
                                           that was in flight, of a process
                                           that has died, and for spacing */


typedef struct {
    ngx_zertiban_waiter_t        waiter;
    ngx_zertiban_demand_t        demand;
    ngx_http_request_t          *request;
    ngx_zertiban_credential_t   *credential;
} ngx_zertiban_try_ctx_t;


static ngx_int_t ngx_zertiban_try_refuse(ngx_http_request_t *r,
    ngx_uint_t status, char *text);
static void ngx_zertiban_try_body(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_try_form(ngx_http_request_t *r);
static ngx_zertiban_credential_t *ngx_zertiban_try_find(
    ngx_http_request_t *r, ngx_str_t *fingerprint);
static ngx_int_t ngx_zertiban_try_start(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential);
static ngx_int_t ngx_zertiban_try_wait(ngx_zertiban_try_ctx_t *ctx);
static void ngx_zertiban_try_wait_handler(ngx_event_t *ev);
static ngx_int_t ngx_zertiban_try_end(ngx_zertiban_try_ctx_t *ctx,
    ngx_int_t rc);
static void ngx_zertiban_try_cancel(ngx_zertiban_try_ctx_t *ctx);
static void ngx_zertiban_try_free(void *data);


ngx_int_t
ngx_zertiban_try_handler(ngx_http_request_t *r)
{
    ngx_int_t   rc;
    ngx_str_t  *type;

    static ngx_str_t  form = ngx_string("application/x-www-form-urlencoded");

    if (r != r->main || r->post_action) {

        /* nobody has looked whether it may */

        return NGX_HTTP_FORBIDDEN;
    }

    if (!ngx_zertiban_try_allowed(r)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"POST\" to \"zertiban_status\" refused: its client is "
                      "not of this machine, and the location has no access "
                      "control, such as \"allow 10.0.0.0/8; deny all;\"");

        return ngx_zertiban_try_refuse(r, NGX_HTTP_FORBIDDEN,
                                   "is for clients of this machine, unless the "
                                   "location has access control, such as "
                                   "\"allow\" and \"deny\"");
    }

    if (ngx_zertiban_form_foreign(r)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "\"POST\" to \"zertiban_status\" refused: it is of a "
                      "page of another site");

        return ngx_zertiban_try_refuse(r, NGX_HTTP_FORBIDDEN,
                                       "came from a page of another site");
    }

    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : NULL;

    if (type == NULL || type->len < form.len
        || ngx_strncasecmp(type->data, form.data, form.len) != 0)
    {
        return ngx_zertiban_try_refuse(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                       "has to be of the type application/"
                                       "x-www-form-urlencoded");
    }

    if (r->headers_in.content_length_n > NGX_ZERTIBAN_FORM_MAX) {
        return ngx_zertiban_try_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "has more than 1024 bytes");
    }

    rc = ngx_http_read_client_request_body(r, ngx_zertiban_try_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/*
 * A request that a proxy of this machine has passed on is of anybody, unless
 * nginx has been told whose it is, and then the address is the client's.
 */

ngx_uint_t
ngx_zertiban_try_allowed(ngx_http_request_t *r)
{
    if (ngx_zertiban_access_passed(r)) {
        return 1;
    }

    return ngx_zertiban_endpoint_local(r->connection->sockaddr)
           && r->connection->proxy_protocol == NULL
           && ngx_zertiban_form_header(r, "x-forwarded-for") == NULL
           && ngx_zertiban_form_header(r, "x-real-ip") == NULL
           && ngx_zertiban_form_header(r, "forwarded") == NULL
           && ngx_zertiban_form_header(r, "via") == NULL;
}


static ngx_int_t
ngx_zertiban_try_refuse(ngx_http_request_t *r, ngx_uint_t status, char *text)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_zertiban_outcome_refused(r, status, text);
}


static void
ngx_zertiban_try_body(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_zertiban_try_form(r));
}


static ngx_int_t
ngx_zertiban_try_form(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   body, action, fingerprint;
    ngx_zertiban_credential_t  *credential;

    static ngx_str_t  action_name = ngx_string("action");
    static ngx_str_t  credential_name = ngx_string("credential");

    rc = ngx_zertiban_form_body(r, &body);

    if (rc == NGX_DECLINED) {
        return ngx_zertiban_outcome_refused(r,
                                            NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                            "has more than 1024 bytes");
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_zertiban_form_field(r->pool, &body, &action_name, &action);

    if (rc != NGX_OK || action.len != 7
        || ngx_strncmp(action.data, "refresh", 7) != 0)
    {
        return ngx_zertiban_outcome_refused(r, NGX_HTTP_BAD_REQUEST,
                                    "has to have the field \"action\" with the "
                                    "value \"refresh\"");
    }

    rc = ngx_zertiban_form_field(r->pool, &body, &credential_name,
                                 &fingerprint);

    if (rc != NGX_OK) {
        return ngx_zertiban_outcome_refused(r, NGX_HTTP_BAD_REQUEST,
                                    "has to have the field \"credential\" with "
                                    "a fingerprint of 12 hexadecimal digits");
    }

    credential = ngx_zertiban_try_find(r, &fingerprint);

    if (credential == NULL) {
        return ngx_zertiban_outcome_refused(r, NGX_HTTP_NOT_FOUND,
                                    "names a credential that the configuration "
                                    "does not name: its fingerprint is in the "
                                    "status");
    }

    return ngx_zertiban_try_start(r, credential);
}


static ngx_zertiban_credential_t *
ngx_zertiban_try_find(ngx_http_request_t *r, ngx_str_t *fingerprint)
{
    ngx_uint_t                  i;
    ngx_zertiban_main_conf_t   *zmcf;
    ngx_zertiban_credential_t  *credential;
    u_char                      text[2 * NGX_ZERTIBAN_FINGERPRINT_LEN];

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    if (fingerprint->len != sizeof(text)) {
        return NULL;
    }

    for (i = 0; i < zmcf->named.n; i++) {

        credential = zmcf->named.elts[i];

        (void) ngx_hex_dump(text, NGX_ZERTIBAN_FINGERPRINT(credential->key),
                            NGX_ZERTIBAN_FINGERPRINT_LEN);

        if (ngx_strncasecmp(text, fingerprint->data, sizeof(text)) == 0) {
            return credential;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_zertiban_try_start(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential)
{
    ngx_int_t                rc;
    ngx_event_t             *ev;
    ngx_pool_cleanup_t      *cln;
    ngx_zertiban_try_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_zertiban_try_ctx_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_zertiban_try_ctx_t));

    ctx->request = r;
    ctx->credential = credential;

    ev = &ctx->waiter.event;

    ev->handler = ngx_zertiban_try_wait_handler;
    ev->data = ctx;
    ev->log = r->connection->log;

    cln->handler = ngx_zertiban_try_free;

    rc = ngx_zertiban_keeper_demand(credential, &ctx->demand);

    return (rc == NGX_AGAIN) ? ngx_zertiban_try_wait(ctx)
                             : ngx_zertiban_try_end(ctx, rc);
}


static ngx_int_t
ngx_zertiban_try_wait(ngx_zertiban_try_ctx_t *ctx)
{
    ngx_msec_t              timeout;
    ngx_http_request_t     *r;
    ngx_zertiban_source_t  *source;

    r = ctx->request;

    if (ngx_zertiban_answer_watch(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->connection->log->action = "trying a credential";

    source = ngx_zertiban_credential_source(ctx->credential);
    timeout = source->client->timeout + NGX_ZERTIBAN_TRY_SPARE;

    ngx_zertiban_waiters_join(ctx->credential, &ctx->waiter);

    /* not cancelable: it keeps a worker process that is shutting down */

    ngx_add_timer(&ctx->waiter.event, timeout);

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_zertiban_try_wait_handler(ngx_event_t *ev)
{
    ngx_int_t                rc;
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_zertiban_try_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "zertiban try wait handler, timed out: %d", ev->timedout);

    ngx_zertiban_waiters_leave(&ctx->waiter);

    if (r->post_action) {

        /* the client has left, and the request goes on with another one */

        ngx_zertiban_try_cancel(ctx);
        return;
    }

    rc = NGX_OK;

    if (!ev->timedout) {
        rc = ngx_zertiban_keeper_demand(ctx->credential, &ctx->demand);
    }

    if (rc == NGX_AGAIN) {
        ngx_zertiban_waiters_join(ctx->credential, &ctx->waiter);
        return;
    }

    ngx_zertiban_try_cancel(ctx);

    r->read_event_handler = ngx_http_block_reading;

    c->log->action = NULL;

    ngx_http_finalize_request(r, ngx_zertiban_try_end(ctx, rc));

    ngx_http_run_posted_requests(c);
}


/* "rc" is of ngx_zertiban_keeper_demand(), or NGX_OK: waited too long */

static ngx_int_t
ngx_zertiban_try_end(ngx_zertiban_try_ctx_t *ctx, ngx_int_t rc)
{
    ngx_zertiban_tried_t  tried;

    ngx_memzero(&tried, sizeof(ngx_zertiban_tried_t));

    tried.credential = ctx->credential;

    switch (rc) {

    case NGX_DONE:
        tried.error = ctx->demand.error;
        break;

    case NGX_DECLINED:
        tried.error = ctx->demand.error;
        tried.delay = ctx->demand.delay;
        break;

    case NGX_ABORT:
        tried.error = NGX_ZERTIBAN_BAD_CREDENTIAL;
        tried.reason = "the file has changed, and cannot be read or is of no "
                        "use: the error log says why";
        break;

    case NGX_BUSY:
        tried.error = NGX_ZERTIBAN_BUSY;
        tried.reason = "the worker process shuts down, or lacks a connection, "
                        "a descriptor or memory: try again";
        break;

    case NGX_ERROR:
        tried.error = NGX_ZERTIBAN_ZONE_FULL;
        tried.reason = "the zone has no room, make \"zertiban_zone\" larger";
        break;

    default: /* NGX_OK */
        tried.error = NGX_ZERTIBAN_IDP_TIMEOUT;
        tried.reason = "there is no outcome yet";
        break;
    }

    return ngx_zertiban_outcome(ctx->request, &tried);
}


static void
ngx_zertiban_try_cancel(ngx_zertiban_try_ctx_t *ctx)
{
    ngx_event_t  *ev;

    ev = &ctx->waiter.event;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


static void
ngx_zertiban_try_free(void *data)
{
    ngx_zertiban_try_ctx_t *ctx = data;

    ngx_zertiban_try_cancel(ctx);

    ngx_zertiban_waiters_leave(&ctx->waiter);
}
