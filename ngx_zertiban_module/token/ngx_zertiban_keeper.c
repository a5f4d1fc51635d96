
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Keeps the tokens of this worker's credentials fresh: by a look at the zone
 * when a request needs one, and by a timer that looks when something is due.
 */


#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_exchange.h"
#include "ngx_zertiban_notify.h"
#include "ngx_zertiban_waiters.h"


#define NGX_ZERTIBAN_SEEN   1000    /* ms, to be seen as used in the zone */
#define NGX_ZERTIBAN_STEP   10      /* ms, between credentials at the start */


static void ngx_zertiban_keeper_abort(ngx_queue_t *credentials);
static ngx_msec_t ngx_zertiban_keeper_fresh(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_full(ngx_zertiban_credential_t *credential);
static void ngx_zertiban_keeper_done(ngx_zertiban_credential_t *credential,
    ngx_uint_t outcome);
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
    ngx_zertiban_keeper_abort(&credentials->pinned);
    ngx_zertiban_keeper_abort(&credentials->dynamic);
}


static void
ngx_zertiban_keeper_abort(ngx_queue_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    for (q = ngx_queue_head(credentials);
         q != ngx_queue_sentinel(credentials);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (credential->exchange) {
            ngx_zertiban_exchange_abort(credential);
            ngx_zertiban_notify();
        }
    }
}


ngx_int_t
ngx_zertiban_keeper_look(ngx_zertiban_credential_t *credential)
{
    ngx_int_t             rc;
    ngx_atomic_uint_t     generation;
    ngx_zertiban_view_t  *view;

    view = &credential->view;
    generation = view->generation;

    for ( ;; ) {

        rc = ngx_zertiban_zone_acquire(ngx_zertiban_credential_zone(credential),
                                       credential->key, &credential->node,
                                       credential->pinned,
                                       credential->client->timeout, view);

        if (view->lease == 0) {
            break;
        }

        credential->used = 0;

        ngx_zertiban_exchange_start(credential, ngx_zertiban_keeper_done);

        if (rc != NGX_AGAIN || credential->exchange) {
            break;
        }

        /* it has failed already, and that is the answer */
    }

    if (rc == NGX_OK) {

        if (view->generation != generation) {
            credential->used = 0;
        }

        credential->fresh = ngx_zertiban_keeper_fresh(credential);

    } else {
        view->generation = 0;
    }

    if (rc == NGX_ERROR) {
        ngx_zertiban_keeper_full(credential);
    }

    ngx_zertiban_keeper_arm(credential, view->next);

    return rc;
}


/* until when this worker's copy of the token needs no look at the zone */

static ngx_msec_t
ngx_zertiban_keeper_fresh(ngx_zertiban_credential_t *credential)
{
    ngx_msec_t            fresh, seen;
    ngx_zertiban_view_t  *view;

    view = &credential->view;

    fresh = ngx_zertiban_before(view->next, view->usable) ? view->next
                                                          : view->usable;

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


static void
ngx_zertiban_keeper_done(ngx_zertiban_credential_t *credential,
    ngx_uint_t outcome)
{
    ngx_zertiban_waiters_wake(credential->credentials);
    ngx_zertiban_notify();

    /* for the timer; what was given up would begin again */

    if (outcome) {
        (void) ngx_zertiban_keeper_look(credential);
    }
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
    ngx_zertiban_view_t  *view;

    view = &credential->view;

    if (view->generation
        && ngx_zertiban_before(ngx_current_msec, view->usable))
    {
        ngx_zertiban_keeper_arm(credential, view->usable);
        return;
    }

    if (credential->refs == 0) {
        ngx_zertiban_credential_forget(credential);
    }
}
