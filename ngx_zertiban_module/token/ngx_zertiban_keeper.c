
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Keeps the tokens of this worker's credentials fresh: by a look at the zone
 * when a request needs one, by a timer that looks when something is due, and by
 * an exchange with the token endpoint when this worker is given the lease.
 */


#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_notify.h"
#include "ngx_zertiban_waiters.h"


#define NGX_ZERTIBAN_SEEN   1000    /* ms, to be seen as used in the zone */
#define NGX_ZERTIBAN_STEP   10      /* ms, between credentials at the start */


static void ngx_zertiban_keeper_stop_queue(ngx_queue_t *credentials);
static ngx_msec_t ngx_zertiban_keeper_fresh(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_full(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_exchange(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_abort(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_handler(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_keeper_end(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_keeper_publish(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent);
static void ngx_zertiban_keeper_fail(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_keeper_release(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_changed(void *data);
static void ngx_zertiban_keeper_arm(ngx_zertiban_credential_t *credential,
    ngx_msec_t next);
static void ngx_zertiban_keeper_timer_handler(ngx_event_t *ev);
static void ngx_zertiban_keeper_lapse(ngx_zertiban_credential_t *credential);


void
ngx_zertiban_keeper_start(ngx_cycle_t *cycle,
    ngx_zertiban_credentials_t *credentials)
{
    ngx_msec_t                  next;
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    ngx_zertiban_notify_listen(cycle, ngx_zertiban_keeper_changed,
                               credentials);

    /* not all at once, if there are many */

    next = ngx_current_msec;

    for (q = ngx_queue_head(&credentials->pinned);
         q != ngx_queue_sentinel(&credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        ngx_zertiban_keeper_arm(credential, next);

        next += NGX_ZERTIBAN_STEP;
    }
}


/* all exchanges are given up, so that others may run them at once */

void
ngx_zertiban_keeper_stop(ngx_zertiban_credentials_t *credentials)
{
    ngx_zertiban_keeper_stop_queue(&credentials->pinned);
    ngx_zertiban_keeper_stop_queue(&credentials->dynamic);
}


static void
ngx_zertiban_keeper_stop_queue(ngx_queue_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    for (q = ngx_queue_head(credentials);
         q != ngx_queue_sentinel(credentials);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (credential->exchange) {
            ngx_zertiban_keeper_abort(credential);
            ngx_zertiban_notify();
        }
    }
}


ngx_int_t
ngx_zertiban_keeper_look(ngx_zertiban_credential_t *credential)
{
    ngx_int_t             rc;
    ngx_atomic_uint_t     generation;
    ngx_zertiban_copy_t  *copy;
    ngx_zertiban_look_t  *look;

    copy = &credential->copy;
    look = &credential->look;

    generation = copy->generation;

    for ( ;; ) {

        rc = ngx_zertiban_zone_acquire(ngx_zertiban_credential_zone(credential),
                                       credential->key, &credential->node,
                                       credential->pinned,
                                       credential->client->timeout, copy,
                                       look);

        if (look->lease == 0) {
            break;
        }

        credential->used = 0;

        ngx_zertiban_keeper_exchange(credential);

        if (rc != NGX_AGAIN || credential->exchange) {
            break;
        }

        /* it has failed already, and that is the answer */
    }

    if (rc == NGX_OK) {

        if (copy->generation != generation) {
            credential->used = 0;
        }

        credential->fresh = ngx_zertiban_keeper_fresh(credential);

    } else {
        copy->generation = 0;
    }

    if (rc == NGX_ERROR) {
        ngx_zertiban_keeper_full(credential);
    }

    ngx_zertiban_keeper_arm(credential, look->next);

    return rc;
}


/* until when this worker's copy of the token needs no look at the zone */

static ngx_msec_t
ngx_zertiban_keeper_fresh(ngx_zertiban_credential_t *credential)
{
    ngx_msec_t  fresh, seen;

    fresh = credential->look.next;

    if (ngx_zertiban_before(credential->copy.usable, fresh)) {
        fresh = credential->copy.usable;
    }

    if (credential->pinned) {
        return fresh;
    }

    seen = ngx_current_msec + NGX_ZERTIBAN_SEEN;

    return ngx_zertiban_before(seen, fresh) ? seen : fresh;
}


static void
ngx_zertiban_keeper_full(ngx_zertiban_credential_t *credential)
{
    ngx_uint_t            level;
    ngx_zertiban_zone_t  *zone;

    zone = ngx_zertiban_credential_zone(credential);
    level = ngx_zertiban_credentials_full(credential->credentials);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no room for client \"%V\" of \"%V\", make "
                  "\"zertiban_zone\" larger, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.url,
                  &zone->name);
}


void
ngx_zertiban_keeper_doubt(ngx_zertiban_credential_t *credential,
    ngx_atomic_uint_t generation)
{
    ngx_zertiban_zone_doubt(ngx_zertiban_credential_zone(credential),
                            credential->key, generation);

    (void) ngx_zertiban_keeper_look(credential);
}


/*
 * Runs the exchange of look->lease, and ends that in the zone; it may have
 * failed already when the function returns.
 */

static void
ngx_zertiban_keeper_exchange(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_client_t   *client;
    ngx_zertiban_verdict_t   verdict;

    if (credential->exchange) {

        /* a worker that was stopped for longer than its lease */

        ngx_zertiban_keeper_abort(credential);
    }

    client = ngx_zertiban_client_create(credential->client,
                                        &credential->identity.id,
                                        &credential->identity.secret,
                                        &credential->identity.scope,
                                        ngx_zertiban_keeper_handler,
                                        credential);

    ngx_zertiban_credential_hold(credential);

    credential->exchange = client;
    credential->lease = credential->look.lease;

    if (client) {
        ngx_zertiban_client_start(client);
        return;
    }

    ngx_memzero(&verdict, sizeof(ngx_zertiban_verdict_t));

    ngx_zertiban_verdict_set(&verdict, NGX_ZERTIBAN_IDP_UNREACHABLE,
                             "not enough memory");
    verdict.retry_after = -1;

    ngx_zertiban_keeper_handler(credential, &verdict, ngx_current_msec);
}


static void
ngx_zertiban_keeper_abort(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_client_abort(credential->exchange);
    ngx_zertiban_keeper_release(credential);
}


/* of the client: without a verdict nginx closes its connections */

static void
ngx_zertiban_keeper_handler(void *data, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent)
{
    ngx_zertiban_credential_t *credential = data;

    if (verdict) {
        ngx_zertiban_keeper_end(credential, verdict, sent);
    }

    ngx_zertiban_keeper_release(credential);

    ngx_zertiban_waiters_wake(credential->credentials);
    ngx_zertiban_notify();

    /* for the timer; what was given up would begin again */

    if (verdict) {
        (void) ngx_zertiban_keeper_look(credential);
    }
}


static void
ngx_zertiban_keeper_end(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    if (verdict->error == NGX_ZERTIBAN_OK) {
        ngx_zertiban_keeper_publish(credential, verdict, sent);
    }

    /* set also if the token could not be used */

    if (verdict->error != NGX_ZERTIBAN_OK) {
        ngx_zertiban_keeper_fail(credential, verdict);
    }
}


static void
ngx_zertiban_keeper_publish(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
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
                                   credential->key, credential->lease,
                                   &verdict->token, &life, &outcome);

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
ngx_zertiban_keeper_fail(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    u_char                  *p, *last;
    ngx_uint_t               level;
    ngx_zertiban_zone_t     *zone;
    ngx_zertiban_outcome_t   outcome;
    u_char                   answer[NGX_ZERTIBAN_REASON_MAX + 64];

    zone = ngx_zertiban_credential_zone(credential);

    if (ngx_zertiban_zone_fail(zone, credential->key, credential->lease,
                               verdict->error, verdict->retry_after, &outcome)
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


/* the lease has gone with the outcome, if there is one */

static void
ngx_zertiban_keeper_release(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_zone_release(ngx_zertiban_credential_zone(credential),
                              credential->key, credential->lease);

    credential->exchange = NULL;

    ngx_zertiban_credential_release(credential);
}


/* of notify: an exchange has ended somewhere */

static void
ngx_zertiban_keeper_changed(void *data)
{
    ngx_zertiban_waiters_wake(data);
}


static void
ngx_zertiban_keeper_arm(ngx_zertiban_credential_t *credential, ngx_msec_t next)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   left;

    ev = &credential->timer;

    ev->handler = ngx_zertiban_keeper_timer_handler;
    ev->data = credential;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    left = (ngx_msec_int_t) (next - ngx_current_msec);

    /* ngx_event_add_timer() would leave a timer that is late a little */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, ngx_max(left, 0));
}


static void
ngx_zertiban_keeper_timer_handler(ngx_event_t *ev)
{
    ngx_zertiban_credential_t  *credential;

    credential = ev->data;

    if (ngx_exiting) {
        return;
    }

    if (credential->pinned || credential->used) {
        (void) ngx_zertiban_keeper_look(credential);

    } else {
        ngx_zertiban_keeper_lapse(credential);
    }
}


/* a token that nobody uses any more is forgotten when it has expired */

static void
ngx_zertiban_keeper_lapse(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_copy_t  *copy;

    copy = &credential->copy;

    if (copy->generation
        && ngx_zertiban_before(ngx_current_msec, copy->usable))
    {
        ngx_zertiban_keeper_arm(credential, copy->usable);
        return;
    }

    if (credential->refs == 0) {
        ngx_zertiban_credential_forget(credential);
    }
}
