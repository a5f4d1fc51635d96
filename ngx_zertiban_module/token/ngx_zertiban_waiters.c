
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Those in this worker that wait for the token of a credential.
 */


#include "ngx_zertiban_waiters.h"
#include "ngx_zertiban_notify.h"


#define NGX_ZERTIBAN_GRACE  1000    /* ms, for clients that come again */


static void ngx_zertiban_waiters_abandon(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_waiters_poll(ngx_event_t *ev);
static void ngx_zertiban_waiters_post(ngx_zertiban_credential_t *credential);


void
ngx_zertiban_waiters_join(ngx_zertiban_credential_t *credential,
    ngx_zertiban_waiter_t *waiter)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    if (ngx_queue_empty(&credential->waiters)) {
        ngx_zertiban_waiters_reclaim(credential);
        ngx_queue_insert_tail(&credentials->waiting, &credential->waiting);
        credential->ended = credentials->look.ended;
    }

    ngx_queue_insert_tail(&credential->waiters, &waiter->queue);
    ngx_zertiban_credential_hold(credential);

    waiter->credential = credential;

    ngx_zertiban_credentials_add_timer(credentials, &credentials->poll,
                                       ngx_zertiban_waiters_poll,
                                       ngx_zertiban_notify_interval());
}


void
ngx_zertiban_waiters_leave(ngx_zertiban_waiter_t *waiter)
{
    ngx_zertiban_credential_t  *credential;

    credential = waiter->credential;

    if (credential == NULL) {
        return;
    }

    waiter->credential = NULL;

    ngx_queue_remove(&waiter->queue);

    if (ngx_queue_empty(&credential->waiters)) {
        ngx_queue_remove(&credential->waiting);
        ngx_zertiban_waiters_abandon(credential);
    }

    ngx_zertiban_credential_release(credential);
}


/* an exchange that only requests have asked for, and none of them is left */

static void
ngx_zertiban_waiters_abandon(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_credentials_t  *credentials;

    if (credential->pinned || !credential->fetching) {
        return;
    }

    credentials = ngx_zertiban_credential_set(credential);

    credential->abandoned = 1;
    credential->grace = ngx_current_msec + NGX_ZERTIBAN_GRACE;

    ngx_queue_insert_tail(&credentials->abandoned, &credential->waiting);

    ngx_zertiban_credential_arm(credential, credential->grace);
}


void
ngx_zertiban_waiters_reclaim(ngx_zertiban_credential_t *credential)
{
    if (credential->abandoned) {
        credential->abandoned = 0;
        ngx_queue_remove(&credential->waiting);
    }
}


void
ngx_zertiban_waiters_wake(ngx_zertiban_credentials_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    for (q = ngx_queue_head(&credentials->waiting);
         q != ngx_queue_sentinel(&credentials->waiting);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, waiting);

        if (credential->node->ended != credential->ended) {
            credential->ended = credential->node->ended;
            ngx_zertiban_waiters_post(credential);
        }
    }
}


/* whatever has been missed: above all that the owner of an exchange has died */

static void
ngx_zertiban_waiters_poll(ngx_event_t *ev)
{
    ngx_queue_t                 *q;
    ngx_zertiban_credential_t   *credential;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ev->data;

    if (ngx_queue_empty(&credentials->waiting)) {
        return;
    }

    for (q = ngx_queue_head(&credentials->waiting);
         q != ngx_queue_sentinel(&credentials->waiting);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, waiting);

        if (!ngx_zertiban_zone_pending(
                                     ngx_zertiban_credential_zone(credential),
                                     credential->key,
                                     ngx_zertiban_credential_lease(credential)))
        {
            ngx_zertiban_waiters_post(credential);
        }
    }

    ngx_add_timer(ev, ngx_zertiban_notify_interval());
}


/* one that goes on may end others, so each has an event of its own */

static void
ngx_zertiban_waiters_post(ngx_zertiban_credential_t *credential)
{
    ngx_queue_t            *q;
    ngx_zertiban_waiter_t  *waiter;

    for (q = ngx_queue_head(&credential->waiters);
         q != ngx_queue_sentinel(&credential->waiters);
         q = ngx_queue_next(q))
    {
        waiter = ngx_queue_data(q, ngx_zertiban_waiter_t, queue);

        ngx_post_event(&waiter->event, &ngx_posted_events);
    }
}
