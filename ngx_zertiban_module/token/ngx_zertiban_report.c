
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the log says of the tokens.
 */


#include "ngx_zertiban_report.h"


#define NGX_ZERTIBAN_SAY  10000   /* ms, between lines about many */


static ngx_uint_t ngx_zertiban_report_level(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict,
    ngx_uint_t failures);
static ngx_uint_t ngx_zertiban_report_once(ngx_msec_t *next);
static void ngx_zertiban_report_more_handler(ngx_event_t *ev);


void
ngx_zertiban_report_failure(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_zertiban_outcome_t *outcome)
{
    u_char               *p, *last;
    ngx_uint_t            level;
    ngx_zertiban_zone_t  *zone;
    u_char                answer[2 * NGX_ZERTIBAN_REASON_MAX + 64];

    p = answer;
    last = answer + sizeof(answer);

    if (verdict->status) {
        p = ngx_slprintf(p, last, ", status %ui", verdict->status);
    }

    if (verdict->code.len) {
        p = ngx_slprintf(p, last, ", error \"%V\"", &verdict->code);
    }

    if (verdict->description.len) {
        p = ngx_slprintf(p, last, ", description \"%V\"",
                         &verdict->description);
    }

    level = ngx_zertiban_report_level(credential, verdict, outcome->failures);
    zone = ngx_zertiban_credential_zone(credential);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no new token for client \"%V\" from \"%V\": %V%*s, "
                  "attempt %ui, next in %M ms, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.grant->url,
                  &verdict->reason, (size_t) (p - answer), answer,
                  outcome->failures, outcome->delay, &zone->name);
}


static ngx_uint_t
ngx_zertiban_report_level(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_uint_t failures)
{
    ngx_zertiban_credentials_t  *credentials;

    if (failures > 1) {
        return NGX_LOG_INFO;
    }

    credentials = ngx_zertiban_credential_set(credential);

    if (verdict->error == NGX_ZERTIBAN_ZONE_FULL) {
        return ngx_zertiban_report_once(&credentials->full);
    }

    /* of those that have never had a token anybody may make any number */

    if (credential->pinned || credential->generation
        || ngx_zertiban_report_once(&credentials->failed) == NGX_LOG_ERR)
    {
        return NGX_LOG_ERR;
    }

    /* those that are not named are counted */

    credentials->nfailed++;

    ngx_zertiban_credentials_add_timer(credentials, &credentials->failed_more,
                                       ngx_zertiban_report_more_handler,
                                       credentials->failed - ngx_current_msec);

    return NGX_LOG_INFO;
}


/* the level of an event that may happen for many */

static ngx_uint_t
ngx_zertiban_report_once(ngx_msec_t *next)
{
    if (*next && ngx_zertiban_before(ngx_current_msec, *next)) {
        return NGX_LOG_INFO;
    }

    *next = ngx_current_msec + NGX_ZERTIBAN_SAY;

    return NGX_LOG_ERR;
}


static void
ngx_zertiban_report_more_handler(ngx_event_t *ev)
{
    ngx_zertiban_zone_t         *zone;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ev->data;
    zone = credentials->shm_zone->data;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "no token for %ui more new credentials, which are named at "
                  "the level \"info\", zertiban zone \"%V\"",
                  credentials->nfailed, &zone->name);

    credentials->nfailed = 0;
    credentials->failed = ngx_current_msec + NGX_ZERTIBAN_SAY;
}


void
ngx_zertiban_report_again(ngx_zertiban_credential_t *credential,
    ngx_uint_t failures)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "token for client \"%V\" from \"%V\" obtained after "
                  "%ui failed attempts",
                  &credential->identity.id, &credential->identity.grant->url,
                  failures);
}


void
ngx_zertiban_report_full(ngx_zertiban_credential_t *credential)
{
    ngx_uint_t            level;
    ngx_zertiban_zone_t  *zone;

    level = ngx_zertiban_report_once(
                              &ngx_zertiban_credential_set(credential)->full);
    zone = ngx_zertiban_credential_zone(credential);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no room for client \"%V\" of \"%V\", make "
                  "\"zertiban_zone\" larger, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.grant->url,
                  &zone->name);
}


void
ngx_zertiban_report_lack(ngx_zertiban_credential_t *credential,
    ngx_str_t *reason)
{
    ngx_uint_t            level;
    ngx_zertiban_zone_t  *zone;

    level = ngx_zertiban_report_once(
                              &ngx_zertiban_credential_set(credential)->lack);
    zone = ngx_zertiban_credential_zone(credential);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "this worker process cannot get a token for client \"%V\" "
                  "from \"%V\": %V, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.grant->url,
                  reason, &zone->name);
}


void
ngx_zertiban_report_crowd(ngx_zertiban_credential_t *credential, ngx_uint_t n)
{
    u_char     text[sizeof(" token requests are in flight in it already")
                    + NGX_INT_T_LEN];
    ngx_str_t  reason;

    reason.data = text;
    reason.len = ngx_sprintf(text, "%ui token requests are in flight in it "
                                   "already", n)
                 - text;

    ngx_zertiban_report_lack(credential, &reason);
}
