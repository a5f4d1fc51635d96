
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Keeps the tokens of this worker's credentials fresh: by a look at the zone
 * when a request needs one, by a timer that looks when something is due, and by
 * an exchange with the token endpoint when this worker is given the lease.
 */


#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_exchange.h"
#include "ngx_zertiban_notify.h"
#include "ngx_zertiban_report.h"
#include "ngx_zertiban_waiters.h"


#define NGX_ZERTIBAN_SEEN       1000    /* ms, to be seen as used */
#define NGX_ZERTIBAN_STEP       10      /* ms, between credentials at the
                                           start */
#define NGX_ZERTIBAN_WATCH      10000   /* ms, between looks at a file */
#define NGX_ZERTIBAN_SWEEP      5000    /* ms */
#define NGX_ZERTIBAN_IDLE_COPY  10000   /* ms, then it is wiped */
#define NGX_ZERTIBAN_IDLE       900000  /* ms, then it is forgotten */


static void ngx_zertiban_keeper_start_handler(ngx_event_t *ev);
static void ngx_zertiban_keeper_stop_queue(ngx_queue_t *credentials);
static void ngx_zertiban_keeper_arm_sweep(
    ngx_zertiban_credentials_t *credentials);
static void ngx_zertiban_keeper_sweep_handler(ngx_event_t *ev);
static ngx_int_t ngx_zertiban_keeper_ask(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask);
static ngx_msec_t ngx_zertiban_keeper_next(
    ngx_zertiban_credential_t *credential);
static ngx_int_t ngx_zertiban_keeper_acquire(
    ngx_zertiban_credential_t *credential, ngx_zertiban_ask_t *ask);
static ngx_int_t ngx_zertiban_keeper_copy(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask);
static void ngx_zertiban_keeper_found(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask);
static void ngx_zertiban_keeper_ended(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_changed(void *data);
static void ngx_zertiban_keeper_due(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_watch(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_abandoned(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_lapse(ngx_zertiban_credential_t *credential);


void
ngx_zertiban_keeper_start(ngx_cycle_t *cycle,
    ngx_zertiban_credentials_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    credentials->look_due = ngx_zertiban_keeper_due;
    credentials->ended = ngx_zertiban_keeper_ended;

    ngx_zertiban_counters_claim(ngx_zertiban_credentials_ledger(credentials));

    for (q = ngx_queue_head(&credentials->pinned);
         q != ngx_queue_sentinel(&credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        ngx_zertiban_credential_count(credential);
    }

    ngx_zertiban_notify_listen(cycle, ngx_zertiban_keeper_changed,
                               credentials);

    /* not here: the mutex may be held by a process that is stopped */

    ngx_zertiban_credentials_add_timer(credentials, &credentials->start,
                                       ngx_zertiban_keeper_start_handler, 0);
}


/* until then this worker evicts nothing that any configuration has named */

static void
ngx_zertiban_keeper_start_handler(ngx_event_t *ev)
{
    ngx_msec_t                   next;
    ngx_queue_t                 *q;
    ngx_zertiban_zone_t         *zone;
    ngx_zertiban_credential_t   *credential;
    ngx_zertiban_credentials_t  *credentials;

    if (ngx_exiting) {
        return;
    }

    credentials = ev->data;
    zone = credentials->shm_zone->data;

    /* not all at once, if there are many */

    next = ngx_current_msec;

    for (q = ngx_queue_head(&credentials->pinned);
         q != ngx_queue_sentinel(&credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        ngx_zertiban_zone_pin(zone, credential->key);

        /* a worker that is new may come long after the configuration */

        ngx_zertiban_exchange_read_pairs(credential);

        ngx_zertiban_credential_arm(credential, next);

        next += NGX_ZERTIBAN_STEP;
    }

    zone->pins = zone->configuration;
}


/* all exchanges are given up, so that others may run them at once */

void
ngx_zertiban_keeper_stop(ngx_zertiban_credentials_t *credentials)
{
    ngx_zertiban_keeper_stop_queue(&credentials->pinned);
    ngx_zertiban_keeper_stop_queue(&credentials->dynamic);

    ngx_zertiban_counters_release(
                                ngx_zertiban_credentials_ledger(credentials));
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
            ngx_zertiban_exchange_abort(credential, 0);
            ngx_zertiban_notify();
        }
    }
}


/* what a worker remembers shrinks when it is idle */

static void
ngx_zertiban_keeper_arm_sweep(ngx_zertiban_credentials_t *credentials)
{
    if (!ngx_exiting) {
        ngx_zertiban_credentials_add_timer(credentials, &credentials->sweep,
                                           ngx_zertiban_keeper_sweep_handler,
                                           NGX_ZERTIBAN_SWEEP);
    }
}


static void
ngx_zertiban_keeper_sweep_handler(ngx_event_t *ev)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = ev->data;

    ngx_zertiban_copies_expire(&credentials->copies,
                               ngx_current_msec - NGX_ZERTIBAN_IDLE_COPY);

    ngx_zertiban_credentials_expire(credentials,
                                    ngx_current_msec - NGX_ZERTIBAN_IDLE);

    if (!ngx_queue_empty(&credentials->copies.queue)
        || !ngx_queue_empty(&credentials->dynamic))
    {
        ngx_zertiban_keeper_arm_sweep(credentials);
    }
}


ngx_int_t
ngx_zertiban_keeper_look(ngx_zertiban_credential_t *credential,
    ngx_uint_t fetch)
{
    ngx_zertiban_ask_t    ask;
    ngx_zertiban_copy_t  *copy;

    copy = credential->copy;

    if (credential->handed) {

        if (ngx_queue_empty(&credential->waiters)) {
            credential->handed = 0;
        }

        if (copy && ngx_zertiban_before(ngx_current_msec, copy->usable)
            && ngx_zertiban_before(ngx_current_msec,
                                   copy->seen + NGX_ZERTIBAN_SEEN))
        {
            return NGX_OK;
        }
    }

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    ask.copy = 1;
    ask.waits = fetch ? 1 : 0;
    ask.refresh = !ngx_exiting;
    ask.fetch = fetch ? 1 : 0;

    ngx_zertiban_keeper_arm_sweep(ngx_zertiban_credential_set(credential));

    return ngx_zertiban_keeper_ask(credential, &ask);
}


static ngx_int_t
ngx_zertiban_keeper_ask(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask)
{
    ngx_int_t                    rc;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    for ( ;; ) {

        rc = ngx_zertiban_keeper_acquire(credential, ask);

        if (rc == NGX_OK) {
            ngx_zertiban_keeper_found(credential, ask);
        }

        if (credentials->look.lease == 0) {
            break;
        }

        credential->used = 0;

        ngx_zertiban_exchange_start(credential, rc == NGX_AGAIN);

        if (rc != NGX_AGAIN || credential->exchange) {
            break;
        }

        /* it has failed already, and that is the answer */
    }

    if (rc != NGX_OK && !credential->handed) {
        ngx_zertiban_copy_free(&credentials->copies, &credential->copy);
    }

    if (rc == NGX_ERROR) {
        ngx_zertiban_report_full(credential);
    }

    ngx_zertiban_credential_arm(credential,
                                ngx_zertiban_keeper_next(credential));

    return rc;
}


/* while some of its pairs are refused, a file is looked at for new ones */

static ngx_msec_t
ngx_zertiban_keeper_next(ngx_zertiban_credential_t *credential)
{
    ngx_msec_t             next;
    ngx_zertiban_look_t   *look;
    ngx_zertiban_pairs_t  *pairs;

    look = &ngx_zertiban_credential_set(credential)->look;
    next = look->next;

    pairs = credential->pairs;

    if (pairs == NULL) {
        return next;
    }

    if (look->tried == pairs->list.tags.all) {
        pairs->changed = 0;
    }

    if (pairs->file.len == 0 || !look->refused) {
        pairs->watched = 0;
        return next;
    }

    /* requests that look do not put it off */

    if (!pairs->watched) {
        pairs->watched = 1;
        pairs->watch = ngx_current_msec + NGX_ZERTIBAN_WATCH;
    }

    return ngx_zertiban_before(pairs->watch, next) ? pairs->watch : next;
}


/* an exchange that nobody waits for any more is given up for it */

static ngx_int_t
ngx_zertiban_keeper_acquire(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask)
{
    ngx_int_t                    rc;
    ngx_uint_t                   fetch;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    if (ngx_zertiban_exchange_sick(credentials)) {
        ask->refresh = 0;
        ask->fetch = 0;
    }

    fetch = ask->fetch;

    ask->pinned = credential->pinned;

    if (credential->pairs) {
        ask->tag = credential->pairs->list.tags.all;
        ask->changed = credential->pairs->changed;
    }

    ask->lease = ngx_zertiban_credential_lease(credential);
    ask->timeout = ngx_zertiban_credential_source(credential)->client->timeout;
    ask->fetch = (fetch && !ngx_zertiban_exchange_crowded(credential));

    rc = ngx_zertiban_keeper_copy(credential, ask);

    if (rc == NGX_BUSY && fetch && !ask->fetch) {

        if (ngx_zertiban_exchange_give_up(credentials)) {
            ask->fetch = 1;
            return ngx_zertiban_keeper_copy(credential, ask);
        }

        ngx_zertiban_report_crowd(credential, credentials->fetching);
    }

    return rc;
}


/* memory is allocated without the mutex, so there may be a second try */

static ngx_int_t
ngx_zertiban_keeper_copy(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask)
{
    ngx_int_t                    rc;
    ngx_zertiban_copy_t         *copy;
    ngx_zertiban_look_t         *look;
    ngx_zertiban_credentials_t  *credentials;

    static ngx_str_t  no_memory = ngx_string("not enough memory for a copy");

    credentials = ngx_zertiban_credential_set(credential);
    look = &credentials->look;

    for ( ;; ) {

        copy = credential->copy;

        ask->node = credential->node;
        ask->value = copy ? copy->value.data : NULL;
        ask->size = copy ? copy->size : 0;
        ask->generation = copy ? copy->generation : 0;

        rc = ngx_zertiban_zone_acquire(
                                     ngx_zertiban_credential_zone(credential),
                                     credential->key, ask, look);

        if (look->node == NULL) {
            return rc;
        }

        credential->node = look->node;

        if (rc != NGX_OK || !ask->copy || look->len <= ask->size) {
            return rc;
        }

        if (ngx_zertiban_copy_get(&credentials->copies, &credential->copy,
                                  look->len)
            != NGX_OK)
        {
            ngx_zertiban_report_lack(credential, &no_memory);
            return NGX_BUSY;
        }
    }
}


/* until when this worker's copy of the token needs no look at the zone */

static void
ngx_zertiban_keeper_found(ngx_zertiban_credential_t *credential,
    ngx_zertiban_ask_t *ask)
{
    ngx_msec_t                   fresh;
    ngx_zertiban_copy_t         *copy;
    ngx_zertiban_look_t         *look;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);
    look = &credentials->look;

    if (credential->generation != look->generation) {
        credential->used = 0;
    }

    credential->generation = look->generation;
    credential->usable = look->usable;
    credential->lapsed = 0;

    if (!ask->copy) {
        return;
    }

    /* from now on the zone says when it goes */

    credential->handed = 0;

    /* it is there, and so this cannot fail; it is the last copied one now */

    (void) ngx_zertiban_copy_get(&credentials->copies, &credential->copy,
                                 look->len);

    copy = credential->copy;

    copy->generation = look->generation;
    copy->usable = look->usable;
    copy->value.len = look->len;

    fresh = look->next;

    if (ngx_zertiban_before(copy->usable, fresh)) {
        fresh = copy->usable;
    }

    if (!credential->pinned
        && ngx_zertiban_before(ngx_current_msec + NGX_ZERTIBAN_SEEN, fresh))
    {
        fresh = ngx_current_msec + NGX_ZERTIBAN_SEEN;
    }

    credential->fresh = fresh;
}


void
ngx_zertiban_keeper_doubt(ngx_zertiban_credential_t *credential,
    ngx_atomic_uint_t generation)
{
    ngx_zertiban_ask_t  ask;

    ngx_zertiban_zone_doubt(ngx_zertiban_credential_zone(credential),
                            credential->key, generation);

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    ask.refresh = !ngx_exiting;

    (void) ngx_zertiban_keeper_ask(credential, &ask);
}


ngx_int_t
ngx_zertiban_keeper_demand(ngx_zertiban_credential_t *credential,
    ngx_zertiban_demand_t *demand)
{
    ngx_int_t                    rc;
    ngx_zertiban_ask_t           ask;
    ngx_zertiban_zone_t         *zone;
    ngx_zertiban_pairs_t        *pairs;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);
    zone = ngx_zertiban_credential_zone(credential);
    pairs = credential->pairs;

    if (pairs) {
        ngx_zertiban_exchange_read_pairs(credential);

        if (pairs->bad) {
            return NGX_ABORT;
        }

        demand->tags = &pairs->list.tags;
    }

    rc = ngx_zertiban_demand(zone, credential->key, demand);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return rc;
    }

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    if (rc == NGX_OK) {

        if (ngx_exiting || ngx_zertiban_exchange_sick(credentials)) {
            return NGX_BUSY;
        }

        if (pairs && demand->renewed) {
            pairs->changed = 1;
        }

        ask.refresh = 1;
        ask.fetch = 1;
    }

    /* also to see the node, for a waiter */

    rc = ngx_zertiban_keeper_ask(credential, &ask);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_BUSY && ask.fetch) {
        return NGX_BUSY;
    }

    /* it may have ended already */

    rc = ngx_zertiban_demand(zone, credential->key, demand);

    return (rc == NGX_OK) ? NGX_AGAIN : rc;
}


/* of exchange; for the timer: who needs another exchange will ask for it */

static void
ngx_zertiban_keeper_ended(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_ask_t  ask;

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    (void) ngx_zertiban_keeper_ask(credential, &ask);
}


/* of notify: an exchange has ended somewhere */

static void
ngx_zertiban_keeper_changed(void *data)
{
    ngx_zertiban_waiters_wake(data);
}


static void
ngx_zertiban_keeper_due(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_ask_t  ask;

    if (ngx_exiting) {
        return;
    }

    if (credential->abandoned) {
        ngx_zertiban_keeper_abandoned(credential);
        return;
    }

    if (!credential->pinned && !credential->used) {
        ngx_zertiban_keeper_lapse(credential);
        return;
    }

    ngx_zertiban_keeper_watch(credential);

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    ask.refresh = 1;

    /* a token that was evicted has gone for others, and is not missed */

    ask.fetch = (credential->pinned
                 || !ngx_zertiban_before(ngx_current_msec, credential->usable));

    if (ngx_zertiban_keeper_ask(credential, &ask) != NGX_OK && !ask.fetch) {
        credential->used = 0;
    }
}


static void
ngx_zertiban_keeper_watch(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_pairs_t  *pairs;

    pairs = credential->pairs;

    if (pairs == NULL || !pairs->watched
        || ngx_zertiban_before(ngx_current_msec, pairs->watch))
    {
        return;
    }

    pairs->watch = ngx_current_msec + NGX_ZERTIBAN_WATCH;

    ngx_zertiban_exchange_read_pairs(credential);
}


/* those who waited have left; a client that has a limit comes again soon */

static void
ngx_zertiban_keeper_abandoned(ngx_zertiban_credential_t *credential)
{
    if (!ngx_zertiban_before(ngx_current_msec, credential->grace)) {

        if (!ngx_zertiban_zone_wanted(ngx_zertiban_credential_zone(credential),
                                      credential->key))
        {
            ngx_zertiban_exchange_abort(credential, 1);
            ngx_zertiban_keeper_lapse(credential);
            return;
        }

        credential->grace = ngx_current_msec + NGX_ZERTIBAN_SEEN;
    }

    ngx_zertiban_credential_arm(credential, credential->grace);
}


/* a token that nobody uses any more is forgotten when it has expired */

static void
ngx_zertiban_keeper_lapse(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_credentials_t  *credentials;

    if (credential->generation
        && ngx_zertiban_before(ngx_current_msec, credential->usable))
    {
        ngx_zertiban_credential_arm(credential, credential->usable);
        return;
    }

    credentials = ngx_zertiban_credential_set(credential);

    ngx_zertiban_copy_free(&credentials->copies, &credential->copy);

    if (credential->refs) {
        credential->lapsed = 1;
        return;
    }

    ngx_zertiban_credential_forget(credential);
}
