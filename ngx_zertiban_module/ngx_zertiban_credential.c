
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What this worker knows of a credential: its copy of the token, its exchange
 * in flight, and the requests that wait for it.
 */


#include "ngx_zertiban_credential.h"
#include "ngx_zertiban_notify.h"


#define NGX_ZERTIBAN_DYNAMIC_MAX  4096    /* in a worker process */
#define NGX_ZERTIBAN_LOOK         1000    /* ms, to be seen as used */


typedef struct {
    ngx_zertiban_credential_t    *credential;
    ngx_uint_t                    lease;
} ngx_zertiban_exchange_t;


static ngx_zertiban_credential_t *ngx_zertiban_credential_lookup(
    ngx_zertiban_credentials_t *credentials, uint32_t hash,
    ngx_zertiban_identity_t *identity);
static void ngx_zertiban_credential_rbtree_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_zertiban_credential_t *ngx_zertiban_credential_alloc(
    ngx_zertiban_identity_t *identity);
static void ngx_zertiban_credential_forget(
    ngx_zertiban_credentials_t *credentials);
static void ngx_zertiban_credential_free(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credential_set_fresh(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credential_exchange(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credential_handler(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_credential_done(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_credential_publish(
    ngx_zertiban_credential_t *credential, ngx_uint_t lease,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static void ngx_zertiban_credential_fail(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict);
static ngx_zertiban_zone_t *ngx_zertiban_credential_zone(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credentials_poll(ngx_event_t *ev);
static void ngx_zertiban_credentials_cleanup(void *data);


ngx_zertiban_credentials_t *
ngx_zertiban_credentials_create(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t          *cln;
    ngx_zertiban_credentials_t  *credentials;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_zertiban_credentials_t));
    if (cln == NULL) {
        return NULL;
    }

    credentials = cln->data;
    ngx_memzero(credentials, sizeof(ngx_zertiban_credentials_t));

    ngx_rbtree_init(&credentials->rbtree, &credentials->sentinel,
                    ngx_zertiban_credential_rbtree_insert);
    ngx_queue_init(&credentials->dynamic);
    ngx_queue_init(&credentials->waiting);

    credentials->poll.handler = ngx_zertiban_credentials_poll;
    credentials->poll.data = credentials;
    credentials->poll.log = &cf->cycle->new_log;
    credentials->poll.cancelable = 1;

    cln->handler = ngx_zertiban_credentials_cleanup;

    return credentials;
}


ngx_zertiban_credential_t *
ngx_zertiban_credential_get(ngx_zertiban_credentials_t *credentials,
    ngx_pool_t *pool, ngx_zertiban_identity_t *identity,
    ngx_zertiban_client_conf_t *client, ngx_msec_t refresh_before)
{
    uint32_t                    hash;
    ngx_zertiban_credential_t  *credential;

    hash = ngx_zertiban_identity_hash(identity);

    credential = ngx_zertiban_credential_lookup(credentials, hash, identity);

    if (credential) {

        if (!credential->pinned) {
            ngx_queue_remove(&credential->queue);
            ngx_queue_insert_head(&credentials->dynamic, &credential->queue);
        }

        return credential;
    }

    if (pool) {
        credential = ngx_pcalloc(pool, sizeof(ngx_zertiban_credential_t));
        if (credential == NULL) {
            return NULL;
        }

        credential->identity = *identity;
        credential->pinned = 1;

    } else {
        credential = ngx_zertiban_credential_alloc(identity);
        if (credential == NULL) {
            return NULL;
        }
    }

    if (ngx_zertiban_identity_key(identity, credential->key) != NGX_OK) {

        if (pool == NULL) {
            ngx_free(credential);
        }

        return NULL;
    }

    credential->credentials = credentials;
    credential->client = client;
    credential->refresh_before = refresh_before;

    ngx_queue_init(&credential->waiters);

    credential->rbnode.key = hash;
    ngx_rbtree_insert(&credentials->rbtree, &credential->rbnode);

    if (pool == NULL) {
        ngx_zertiban_credential_forget(credentials);
        ngx_queue_insert_head(&credentials->dynamic, &credential->queue);
        credentials->ndynamic++;
    }

    return credential;
}


static ngx_zertiban_credential_t *
ngx_zertiban_credential_lookup(ngx_zertiban_credentials_t *credentials,
    uint32_t hash, ngx_zertiban_identity_t *identity)
{
    ngx_int_t                   rc;
    ngx_rbtree_node_t          *node, *sentinel;
    ngx_zertiban_credential_t  *credential;

    node = credentials->rbtree.root;
    sentinel = credentials->rbtree.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        credential = (ngx_zertiban_credential_t *) node;

        rc = ngx_zertiban_identity_cmp(identity, &credential->identity);

        if (rc == 0) {
            return credential;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_zertiban_credential_rbtree_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t          **p;
    ngx_zertiban_credential_t   *c, *t;

    for ( ;; ) {

        if (node->key != temp->key) {
            p = (node->key < temp->key) ? &temp->left : &temp->right;

        } else {
            c = (ngx_zertiban_credential_t *) node;
            t = (ngx_zertiban_credential_t *) temp;

            p = (ngx_zertiban_identity_cmp(&c->identity, &t->identity) < 0)
                ? &temp->left : &temp->right;
        }

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_zertiban_credential_t *
ngx_zertiban_credential_alloc(ngx_zertiban_identity_t *identity)
{
    u_char                     *p;
    size_t                      size;
    ngx_zertiban_credential_t  *credential;

    size = sizeof(ngx_zertiban_credential_t) + identity->id.len
           + identity->secret.len + identity->scope.len;

    credential = ngx_calloc(size, ngx_cycle->log);
    if (credential == NULL) {
        return NULL;
    }

    p = (u_char *) credential + sizeof(ngx_zertiban_credential_t);

    /* the URL is the configuration's */

    credential->identity = *identity;

    credential->identity.id.data = p;
    p = ngx_cpymem(p, identity->id.data, identity->id.len);

    credential->identity.secret.data = p;
    p = ngx_cpymem(p, identity->secret.data, identity->secret.len);

    credential->identity.scope.data = p;
    ngx_memcpy(p, identity->scope.data, identity->scope.len);

    return credential;
}


/* makes room for one more */

static void
ngx_zertiban_credential_forget(ngx_zertiban_credentials_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    if (credentials->ndynamic < NGX_ZERTIBAN_DYNAMIC_MAX) {
        return;
    }

    for (q = ngx_queue_last(&credentials->dynamic);
         q != ngx_queue_sentinel(&credentials->dynamic);
         q = ngx_queue_prev(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (credential->refs) {
            continue;
        }

        ngx_queue_remove(q);
        credentials->ndynamic--;

        ngx_zertiban_credential_free(credential);

        return;
    }
}


static void
ngx_zertiban_credential_free(ngx_zertiban_credential_t *credential)
{
    ngx_rbtree_delete(&credential->credentials->rbtree, &credential->rbnode);

    ngx_zertiban_view_free(&credential->view);

    if (credential->pinned) {
        return;
    }

    ngx_explicit_memzero(credential->identity.secret.data,
                         credential->identity.secret.len);
    ngx_free(credential);
}


ngx_int_t
ngx_zertiban_credential_look(ngx_zertiban_credential_t *credential)
{
    ngx_int_t             rc;
    ngx_uint_t            refs;
    ngx_zertiban_view_t  *view;

    view = &credential->view;

    for ( ;; ) {

        rc = ngx_zertiban_zone_acquire(
                                     ngx_zertiban_credential_zone(credential),
                                     credential->key, &credential->node,
                                     credential->pinned,
                                     credential->client->timeout, view);

        if (view->lease) {
            refs = credential->refs;

            ngx_zertiban_credential_exchange(credential);

            if (rc == NGX_AGAIN && credential->refs == refs) {

                /* it has failed already, and that is the answer */

                continue;
            }
        }

        break;
    }

    if (rc != NGX_OK) {
        view->generation = 0;
        return rc;
    }

    ngx_zertiban_credential_set_fresh(credential);

    return NGX_OK;
}


static void
ngx_zertiban_credential_set_fresh(ngx_zertiban_credential_t *credential)
{
    ngx_msec_t            fresh, look;
    ngx_uint_t            due;
    ngx_zertiban_view_t  *view;

    view = &credential->view;

    fresh = view->usable;
    due = !ngx_zertiban_before(ngx_current_msec, view->refresh);

    if (!due && ngx_zertiban_before(view->refresh, fresh)) {
        fresh = view->refresh;
    }

    /* a refresh that failed is to be tried again */

    if (due || !credential->pinned) {
        look = ngx_current_msec + NGX_ZERTIBAN_LOOK;

        if (ngx_zertiban_before(look, fresh)) {
            fresh = look;
        }
    }

    credential->fresh = fresh;
}


static void
ngx_zertiban_credential_exchange(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_verdict_t    verdict;
    ngx_zertiban_exchange_t  *ex;

    ngx_zertiban_credential_hold(credential);

    ex = ngx_alloc(sizeof(ngx_zertiban_exchange_t), ngx_cycle->log);

    if (ex) {
        ex->credential = credential;
        ex->lease = credential->view.lease;

        if (ngx_zertiban_client_start(credential->client,
                                      &credential->identity.id,
                                      &credential->identity.secret,
                                      &credential->identity.scope,
                                      ngx_zertiban_credential_handler, ex)
            == NGX_OK)
        {
            return;
        }

        ngx_free(ex);
    }

    ngx_memzero(&verdict, sizeof(ngx_zertiban_verdict_t));

    ngx_zertiban_verdict_set(&verdict, NGX_ZERTIBAN_IDP_UNREACHABLE,
                             "not enough memory");
    verdict.retry_after = -1;

    ngx_zertiban_credential_done(credential, credential->view.lease, &verdict,
                                 0);
}


static void
ngx_zertiban_credential_handler(void *data, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent)
{
    ngx_zertiban_exchange_t *ex = data;

    ngx_zertiban_credential_done(ex->credential, ex->lease, verdict, sent);

    ngx_free(ex);
}


static void
ngx_zertiban_credential_done(ngx_zertiban_credential_t *credential,
    ngx_uint_t lease, ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    if (verdict->error == NGX_ZERTIBAN_OK) {
        ngx_zertiban_credential_publish(credential, lease, verdict, sent);
    }

    /* set also if the token could not be used */

    if (verdict->error != NGX_ZERTIBAN_OK) {
        ngx_zertiban_credential_fail(credential, lease, verdict);
    }

    ngx_zertiban_credential_release(credential);

    ngx_zertiban_credentials_wake(credential->credentials);
    ngx_zertiban_notify();
}


static void
ngx_zertiban_credential_publish(ngx_zertiban_credential_t *credential,
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
ngx_zertiban_credential_fail(ngx_zertiban_credential_t *credential,
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

    ngx_log_error(level, ngx_cycle->log, 0,
                  "no token for client \"%V\" from \"%V\": %V%*s, "
                  "attempt %ui, next in %M ms, zertiban zone \"%V\"",
                  &credential->identity.id, &credential->identity.url,
                  &verdict->reason, (size_t) (p - answer), answer,
                  outcome.failures, outcome.delay,
                  ngx_zertiban_zone_name(zone));
}


static ngx_zertiban_zone_t *
ngx_zertiban_credential_zone(ngx_zertiban_credential_t *credential)
{
    return credential->credentials->shm_zone->data;
}


void
ngx_zertiban_credential_wait(ngx_zertiban_credential_t *credential,
    ngx_zertiban_waiter_t *waiter)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = credential->credentials;

    if (ngx_queue_empty(&credential->waiters)) {
        ngx_queue_insert_tail(&credentials->waiting, &credential->waiting);
    }

    ngx_queue_insert_tail(&credential->waiters, &waiter->queue);
    ngx_zertiban_credential_hold(credential);

    waiter->credential = credential;

    if (!credentials->poll.timer_set) {
        ngx_add_timer(&credentials->poll, ngx_zertiban_notify_interval());
    }
}


void
ngx_zertiban_credential_leave(ngx_zertiban_waiter_t *waiter)
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
    }

    ngx_zertiban_credential_release(credential);
}


void
ngx_zertiban_credentials_wake(void *data)
{
    ngx_zertiban_credentials_t *credentials = data;

    ngx_queue_t                *q, *p;
    ngx_zertiban_waiter_t      *waiter;
    ngx_zertiban_credential_t  *credential;

    for (q = ngx_queue_head(&credentials->waiting);
         q != ngx_queue_sentinel(&credentials->waiting);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, waiting);

        if (ngx_zertiban_zone_pending(ngx_zertiban_credential_zone(credential),
                                      credential->key))
        {
            continue;
        }

        /* one that goes on may end others, so each has an event of its own */

        for (p = ngx_queue_head(&credential->waiters);
             p != ngx_queue_sentinel(&credential->waiters);
             p = ngx_queue_next(p))
        {
            waiter = ngx_queue_data(p, ngx_zertiban_waiter_t, queue);

            ngx_post_event(&waiter->event, &ngx_posted_events);
        }
    }
}


static void
ngx_zertiban_credentials_poll(ngx_event_t *ev)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = ev->data;

    if (ngx_queue_empty(&credentials->waiting)) {
        return;
    }

    ngx_zertiban_credentials_wake(credentials);

    ngx_add_timer(ev, ngx_zertiban_notify_interval());
}


static void
ngx_zertiban_credentials_cleanup(void *data)
{
    ngx_zertiban_credentials_t *credentials = data;

    if (credentials->poll.timer_set) {
        ngx_del_timer(&credentials->poll);
    }

    while (credentials->rbtree.root != credentials->rbtree.sentinel) {
        ngx_zertiban_credential_free(
               (ngx_zertiban_credential_t *) credentials->rbtree.root);
    }
}
