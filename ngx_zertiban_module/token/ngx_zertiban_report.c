
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the log says of the tokens.
 */


#include "ngx_zertiban_report.h"


#define NGX_ZERTIBAN_SAY  10000   /* ms, between lines about many */


static char *ngx_zertiban_report_kind(ngx_zertiban_credential_t *credential);
static ngx_uint_t ngx_zertiban_report_level(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict,
    ngx_uint_t failures);
static ngx_uint_t ngx_zertiban_report_once(ngx_msec_t *next);
static void ngx_zertiban_report_more_handler(ngx_event_t *ev);


void
ngx_zertiban_report_failure(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_zertiban_outcome_t *outcome)
{
    size_t                len;
    ngx_uint_t            level;
    ngx_zertiban_zone_t  *zone;
    u_char                answer[2 * NGX_ZERTIBAN_REASON_MAX + 64];

    len = ngx_zertiban_report_answer(verdict, answer, sizeof(answer));

    level = ngx_zertiban_report_level(credential, verdict, outcome->failures);
    zone = ngx_zertiban_credential_zone(credential);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no new token for %s \"%V\" from \"%V\": %V%*s, "
                  "attempt %ui, next in %M ms, zertiban zone \"%V\"",
                  ngx_zertiban_report_kind(credential),
                  &credential->identity.id, &credential->identity.grant->url,
                  &verdict->reason, len, answer, outcome->failures,
                  outcome->delay, &zone->name);
}


size_t
ngx_zertiban_report_answer(ngx_zertiban_verdict_t *verdict, u_char *buf,
    size_t size)
{
    u_char  *p, *last;

    p = buf;
    last = buf + size;

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

    return p - buf;
}


static char *
ngx_zertiban_report_kind(ngx_zertiban_credential_t *credential)
{
    return (credential->identity.kind == NGX_ZERTIBAN_BY_FILE)
           ? "credentials file" : "client";
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
                  "token for %s \"%V\" from \"%V\" obtained after "
                  "%ui failed attempts",
                  ngx_zertiban_report_kind(credential),
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
                  "no room for %s \"%V\" of \"%V\", make "
                  "\"zertiban_zone\" larger, zertiban zone \"%V\"",
                  ngx_zertiban_report_kind(credential),
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
                  "this worker process cannot get a token for %s \"%V\" "
                  "from \"%V\": %V, zertiban zone \"%V\"",
                  ngx_zertiban_report_kind(credential),
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


void
ngx_zertiban_report_refused(ngx_zertiban_credential_t *credential,
    ngx_zertiban_pair_t *pair)
{
    u_char                   *p, *last;
    ngx_uint_t                level;
    ngx_zertiban_pairs_t     *pairs;
    ngx_zertiban_attempts_t  *attempts;
    u_char                    instead[NGX_ZERTIBAN_REASON_MAX];

    p = instead;
    last = instead + sizeof(instead);

    p = pair ? ngx_slprintf(p, last, "client \"%V\" is used instead", &pair->id)
             : ngx_slprintf(p, last, "the token of another one is kept");

    pairs = credential->pairs;
    attempts = &pairs->attempts;

    /* again and again it is as expected */

    level = (attempts->refusals == 1) ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "client \"%V\", pair %ui of %s \"%V\", is refused by "
                  "\"%V\"%*s: %*s, the next attempt with the refused one in "
                  "%M ms",
                  &pairs->list.elts[attempts->refused].id,
                  attempts->refused + 1, ngx_zertiban_report_kind(credential),
                  &credential->identity.id, &credential->identity.grant->url,
                  attempts->why_len, attempts->why, (size_t) (p - instead),
                  instead, attempts->delay);
}


void
ngx_zertiban_report_accepted(ngx_zertiban_credential_t *credential,
    ngx_uint_t refusals)
{
    ngx_uint_t             i;
    ngx_zertiban_pair_t   *pair;
    ngx_zertiban_pairs_t  *pairs;

    pairs = credential->pairs;

    i = ngx_zertiban_pairs_tried(pairs);
    pair = &pairs->list.elts[i];

    if (pairs->attempts.why_len) {
        ngx_zertiban_report_refused(credential, pair);
    }

    if (refusals) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "client \"%V\", pair %ui of %s \"%V\", is accepted by "
                      "\"%V\" after %ui refusals",
                      &pair->id, i + 1, ngx_zertiban_report_kind(credential),
                      &credential->identity.id,
                      &credential->identity.grant->url, refusals);
    }
}


/* all workers find it, but only the first one says so */

void
ngx_zertiban_report_file(ngx_zertiban_credential_t *credential, ngx_int_t rc,
    ngx_str_t *err)
{
    ngx_err_t              no;
    ngx_str_t             *url;
    ngx_uint_t             say;
    ngx_zertiban_pairs_t  *pairs;

    no = (rc == NGX_DECLINED) ? ngx_errno : 0;

    pairs = credential->pairs;
    url = &credential->identity.grant->url;

    say = ngx_zertiban_zone_say(ngx_zertiban_credential_zone(credential),
                                credential->key,
                                (rc == NGX_OK)
                                ? pairs->list.tags.all
                                : ngx_zertiban_pairs_seen(pairs));

    if (!say || (rc == NGX_OK && !pairs->changed)) {
        return;
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "credentials file \"%V\" for \"%V\" has changed, it has "
                      "%ui pairs now", &pairs->file, url, pairs->list.tags.n);

    } else if (no == NGX_EACCES) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, no,
                      "credentials file \"%V\" for \"%V\" has changed, and "
                      "worker processes cannot read it, reload nginx to have "
                      "it read: %V", &pairs->file, url, err);

    } else if (no) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, no,
                      "credentials file \"%V\" for \"%V\" cannot be read, "
                      "what it held before is used: %V", &pairs->file, url,
                      err);

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "credentials file \"%V\" for \"%V\" %V, what it held "
                      "before is used", &pairs->file, url, err);
    }
}
