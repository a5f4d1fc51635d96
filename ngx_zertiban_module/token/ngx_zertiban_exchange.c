
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * One exchange of a credential: under its lease, from the client's start to
 * what the zone and the log are told.
 */


#include "ngx_zertiban_exchange.h"


struct ngx_zertiban_exchange_s {
    ngx_zertiban_client_t     *client;
    ngx_uint_t                 lease;
    ngx_zertiban_exchange_pt   handler;
};


static ngx_zertiban_exchange_t *ngx_zertiban_exchange_create(
    ngx_zertiban_credential_t *credential, ngx_zertiban_exchange_pt handler);
static void ngx_zertiban_exchange_handler(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_exchange_end(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_exchange_publish(
    ngx_zertiban_credential_t *credential, ngx_uint_t lease,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_exchange_fail(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_exchange_free(ngx_zertiban_credential_t *credential);


void
ngx_zertiban_exchange_start(ngx_zertiban_credential_t *credential,
    ngx_zertiban_exchange_pt handler)
{
    ngx_zertiban_verdict_t    verdict;
    ngx_zertiban_exchange_t  *ex;

    if (credential->exchange) {

        /* a worker that was stopped for longer than its lease */

        ngx_zertiban_exchange_abort(credential);
    }

    ex = ngx_zertiban_exchange_create(credential, handler);

    if (ex == NULL) {
        ngx_memzero(&verdict, sizeof(ngx_zertiban_verdict_t));

        ngx_zertiban_verdict_set(&verdict, NGX_ZERTIBAN_IDP_UNREACHABLE,
                                 "not enough memory");
        verdict.retry_after = -1;

        ngx_zertiban_exchange_fail(credential, credential->view.lease,
                                   &verdict);
        handler(credential, 1);
        return;
    }

    ngx_zertiban_credential_hold(credential);

    credential->exchange = ex;

    ngx_zertiban_client_start(ex->client);
}


static ngx_zertiban_exchange_t *
ngx_zertiban_exchange_create(ngx_zertiban_credential_t *credential,
    ngx_zertiban_exchange_pt handler)
{
    ngx_zertiban_exchange_t  *ex;

    ex = ngx_alloc(sizeof(ngx_zertiban_exchange_t), ngx_cycle->log);
    if (ex == NULL) {
        return NULL;
    }

    ex->client = ngx_zertiban_client_create(credential->client,
                                            &credential->identity.id,
                                            &credential->identity.secret,
                                            &credential->identity.scope,
                                            ngx_zertiban_exchange_handler,
                                            credential);
    if (ex->client == NULL) {
        ngx_free(ex);
        return NULL;
    }

    ex->lease = credential->view.lease;
    ex->handler = handler;

    return ex;
}


void
ngx_zertiban_exchange_abort(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_exchange_t  *ex;

    ex = credential->exchange;

    ngx_zertiban_client_abort(ex->client);

    ngx_zertiban_zone_release(ngx_zertiban_credential_zone(credential),
                              credential->key, ex->lease);

    ngx_zertiban_exchange_free(credential);
}


static void
ngx_zertiban_exchange_handler(void *data, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent)
{
    ngx_zertiban_credential_t *credential = data;

    ngx_zertiban_exchange_t   *ex;
    ngx_zertiban_exchange_pt   handler;

    ex = credential->exchange;
    handler = ex->handler;

    ngx_zertiban_exchange_end(credential, ex->lease, verdict, sent);
    ngx_zertiban_exchange_free(credential);

    handler(credential, verdict ? 1 : 0);
}


static void
ngx_zertiban_exchange_end(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    if (verdict == NULL) {
        ngx_zertiban_zone_release(ngx_zertiban_credential_zone(credential),
                                  credential->key, lease);
        return;
    }

    if (verdict->error == NGX_ZERTIBAN_OK) {
        ngx_zertiban_exchange_publish(credential, lease, verdict, sent);
    }

    /* set also if the token could not be used */

    if (verdict->error != NGX_ZERTIBAN_OK) {
        ngx_zertiban_exchange_fail(credential, lease, verdict);
    }
}


static void
ngx_zertiban_exchange_publish(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    ngx_int_t               rc;
    ngx_zertiban_life_t     life;
    ngx_zertiban_outcome_t  outcome;

    life.sent = sent;
    life.lifetime = (ngx_msec_t) verdict->lifetime * 1000;
    life.refresh_before = credential->refresh_before;

    if (!ngx_zertiban_zone_alive(&life)) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the token had expired when it came");
        return;
    }

    rc = ngx_zertiban_zone_publish(ngx_zertiban_credential_zone(credential),
                                   credential->key, lease, &verdict->token,
                                   &life, &outcome);

    if (rc == NGX_ERROR) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_ZONE_FULL,
                                 "the zone has no room for the token, make "
                                 "\"zertiban_zone\" larger");
        return;
    }

    if (rc == NGX_OK && outcome.failures) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "token for client \"%V\" from \"%V\" obtained after "
                      "%ui failed attempts",
                      &credential->identity.id, &credential->identity.url,
                      outcome.failures);
    }
}


static void
ngx_zertiban_exchange_fail(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict)
{
    u_char                  *p, *last;
    ngx_uint_t               level;
    ngx_zertiban_zone_t     *zone;
    ngx_zertiban_outcome_t   outcome;
    u_char                   answer[NGX_ZERTIBAN_REASON_MAX + 64];

    zone = ngx_zertiban_credential_zone(credential);

    if (ngx_zertiban_zone_fail(zone, credential->key, lease, verdict->error,
                               verdict->retry_after, &outcome)
        != NGX_OK)
    {
        return;
    }

    p = answer;
    last = answer + sizeof(answer);

    if (verdict->status) {
        p = ngx_slprintf(p, last, ", status %ui", verdict->status);
    }

    if (verdict->code.len) {
        p = ngx_slprintf(p, last, ", error \"%V\"", &verdict->code);
    }

    level = (outcome.failures == 1) ? NGX_LOG_ERR : NGX_LOG_INFO;

    if (level == NGX_LOG_ERR && verdict->error == NGX_ZERTIBAN_ZONE_FULL) {
        level = ngx_zertiban_credentials_full(credential->credentials);
    }

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no new token for client \"%V\" from \"%V\": %V%*s, "
                  "attempt %ui, next in %M ms, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.url,
                  &verdict->reason, (size_t) (p - answer), answer,
                  outcome.failures, outcome.delay, &zone->name);
}


static void
ngx_zertiban_exchange_free(ngx_zertiban_credential_t *credential)
{
    ngx_free(credential->exchange);
    credential->exchange = NULL;

    ngx_zertiban_credential_release(credential);
}
