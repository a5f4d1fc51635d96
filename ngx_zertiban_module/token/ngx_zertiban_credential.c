
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The credentials that this worker knows: found by what makes them the same,
 * and forgotten when there are too many.
 */


#include "ngx_zertiban_credential.h"


#define NGX_ZERTIBAN_DYNAMIC_MIN  4096    /* in a worker process */


static void ngx_zertiban_credential_rbtree_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_zertiban_credential_t *ngx_zertiban_credential_alloc(
    ngx_zertiban_identity_t *identity);
static size_t ngx_zertiban_credential_size(
    ngx_zertiban_identity_t *identity);
static void ngx_zertiban_credentials_trim(
    ngx_zertiban_credentials_t *credentials);
static void ngx_zertiban_credential_disarm(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credentials_set_clock(
    ngx_zertiban_credentials_t *credentials);
static void ngx_zertiban_credentials_clock_handler(ngx_event_t *ev);
static void ngx_zertiban_credential_free(
    ngx_zertiban_credential_t *credential);
static void ngx_zertiban_credentials_cleanup(void *data);
static void ngx_zertiban_credentials_del_timer(ngx_event_t *ev);


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
    ngx_rbtree_init(&credentials->due, &credentials->due_sentinel,
                    ngx_rbtree_insert_timer_value);

    ngx_queue_init(&credentials->sources);
    ngx_queue_init(&credentials->pinned);
    ngx_queue_init(&credentials->dynamic);
    ngx_queue_init(&credentials->waiting);
    ngx_queue_init(&credentials->abandoned);

    ngx_zertiban_copies_init(&credentials->copies);

    cln->handler = ngx_zertiban_credentials_cleanup;

    return credentials;
}


ngx_zertiban_source_t *
ngx_zertiban_source(ngx_conf_t *cf, ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_grant_t *grant, ngx_zertiban_client_conf_t *client,
    ngx_msec_t refresh_before)
{
    ngx_queue_t            *q;
    ngx_zertiban_source_t  *source;

    for (q = ngx_queue_head(&credentials->sources);
         q != ngx_queue_sentinel(&credentials->sources);
         q = ngx_queue_next(q))
    {
        source = ngx_queue_data(q, ngx_zertiban_source_t, queue);

        if (ngx_zertiban_grant_equal(&source->grant, grant)
            && source->client->resolver == client->resolver
            && source->client->resolver_timeout == client->resolver_timeout
            && source->client->timeout == client->timeout
            && source->refresh_before == refresh_before)
        {
            return source;
        }
    }

    source = ngx_palloc(cf->pool, sizeof(ngx_zertiban_source_t));
    if (source == NULL) {
        return NULL;
    }

    source->grant = *grant;
    source->client = client;
    source->refresh_before = refresh_before;
    source->credentials = credentials;

    ngx_queue_insert_tail(&credentials->sources, &source->queue);

    return source;
}


ngx_zertiban_credential_t *
ngx_zertiban_credential_find(ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_identity_t *identity)
{
    uint32_t                    hash;
    ngx_int_t                   rc;
    ngx_rbtree_node_t          *node, *sentinel;
    ngx_zertiban_credential_t  *credential;

    hash = ngx_zertiban_identity_hash(identity);

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

            if (!credential->pinned) {
                ngx_queue_remove(&credential->queue);
                ngx_queue_insert_head(&credentials->dynamic,
                                      &credential->queue);
            }

            return credential;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


ngx_zertiban_credential_t *
ngx_zertiban_credential_create(ngx_zertiban_credentials_t *credentials,
    ngx_pool_t *pool, ngx_zertiban_pairs_t *pairs,
    ngx_zertiban_identity_t *identity)
{
    ngx_zertiban_credential_t  *credential;

    if (pool) {
        credential = ngx_pcalloc(pool, sizeof(ngx_zertiban_credential_t));
        if (credential == NULL) {
            return NULL;
        }

        credential->identity = *identity;
        credential->pairs = pairs;
        credential->pinned = 1;

    } else {
        credential = ngx_zertiban_credential_alloc(identity);
        if (credential == NULL) {
            return NULL;
        }
    }

    if (ngx_zertiban_identity_key(identity, 0, credential->key) != NGX_OK) {

        if (pool == NULL) {
            ngx_free(credential);
        }

        return NULL;
    }

    ngx_queue_init(&credential->waiters);

    credential->rbnode.key = ngx_zertiban_identity_hash(identity);
    ngx_rbtree_insert(&credentials->rbtree, &credential->rbnode);

    if (pool) {
        ngx_queue_insert_tail(&credentials->pinned, &credential->queue);

    } else {
        ngx_zertiban_credential_count(credential);

        ngx_zertiban_credentials_trim(credentials);

        ngx_queue_insert_head(&credentials->dynamic, &credential->queue);

        credentials->ndynamic++;
        credentials->known += ngx_zertiban_credential_size(identity);
    }

    return credential;
}


void
ngx_zertiban_credentials_record(ngx_zertiban_credentials_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_zone_t        *zone;
    ngx_zertiban_ledger_t      *ledger;
    ngx_zertiban_credential_t  *credential;

    zone = ngx_zertiban_credentials_zone(credentials);
    ledger = &zone->sh->ledger;

    for (q = ngx_queue_head(&credentials->pinned);
         q != ngx_queue_sentinel(&credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        (void) ngx_zertiban_counters_known(ledger, credential->key,
                                           zone->configuration);
    }

    for (q = ngx_queue_head(&credentials->pinned);
         q != ngx_queue_sentinel(&credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        credential->record = ngx_zertiban_counters_record(ledger,
                                                          credential->key,
                                                          zone->configuration);
    }
}


void
ngx_zertiban_credential_count(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_ledger_t  *ledger;

    ledger = ngx_zertiban_credential_ledger(credential);

    if (credential->record == NULL) {
        credential->record = ngx_zertiban_counters_other(ledger);
    }

    credential->tally = ngx_zertiban_counters_tally(ledger,
                                                    credential->record);
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
    ngx_zertiban_credential_t  *credential;

    credential = ngx_calloc(ngx_zertiban_credential_size(identity),
                            ngx_cycle->log);
    if (credential == NULL) {
        return NULL;
    }

    p = (u_char *) credential + sizeof(ngx_zertiban_credential_t);

    credential->identity.grant = identity->grant;
    credential->identity.kind = identity->kind;
    credential->identity.id.len = identity->id.len;
    credential->identity.secret.len = identity->secret.len;

    credential->identity.id.data = p;
    p = ngx_cpymem(p, identity->id.data, identity->id.len);

    credential->identity.secret.data = p;
    ngx_memcpy(p, identity->secret.data, identity->secret.len);

    return credential;
}


static size_t
ngx_zertiban_credential_size(ngx_zertiban_identity_t *identity)
{
    return sizeof(ngx_zertiban_credential_t) + identity->id.len
           + identity->secret.len;
}


/* makes room for one more: not more than the zone may have, nor too many */

static void
ngx_zertiban_credentials_trim(ngx_zertiban_credentials_t *credentials)
{
    size_t                      max;
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    max = credentials->shm_zone->shm.size / (2 * NGX_ZERTIBAN_PIECE);

    if (credentials->ndynamic < ngx_max(max, NGX_ZERTIBAN_DYNAMIC_MIN)
        && credentials->known < NGX_ZERTIBAN_KNOWN_MAX)
    {
        return;
    }

    for (q = ngx_queue_last(&credentials->dynamic);
         q != ngx_queue_sentinel(&credentials->dynamic);
         q = ngx_queue_prev(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (credential->refs == 0) {
            ngx_zertiban_credential_forget(credential);
            return;
        }
    }
}


void
ngx_zertiban_credentials_expire(ngx_zertiban_credentials_t *credentials,
    ngx_msec_t seen)
{
    ngx_queue_t                *q, *prev;
    ngx_zertiban_credential_t  *credential;

    for (q = ngx_queue_last(&credentials->dynamic);
         q != ngx_queue_sentinel(&credentials->dynamic);
         q = prev)
    {
        prev = ngx_queue_prev(q);

        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (!ngx_zertiban_before(credential->fresh, seen)) {
            return;
        }

        if (credential->refs == 0) {
            ngx_zertiban_credential_forget(credential);
        }
    }
}


void
ngx_zertiban_credential_release(ngx_zertiban_credential_t *credential)
{
    credential->refs--;

    if (credential->refs == 0 && credential->lapsed) {

        /* the caller may still use it */

        ngx_zertiban_credential_arm(credential, ngx_current_msec);
    }
}


/*
 * One timer for all: many of nginx's own would make each timer of a request
 * more expensive, and a credential larger.
 */

void
ngx_zertiban_credential_arm(ngx_zertiban_credential_t *credential,
    ngx_msec_t next)
{
    ngx_zertiban_credentials_t  *credentials;

    /* nearly always the same moment */

    if (credential->armed && credential->due.key == next) {
        return;
    }

    credentials = ngx_zertiban_credential_set(credential);

    ngx_zertiban_credential_disarm(credential);

    /* not in this turn of the event loop, which might be its handler's */

    if (!ngx_zertiban_before(ngx_current_msec, next)) {
        next = ngx_current_msec + 1;
    }

    credential->due.key = next;
    ngx_rbtree_insert(&credentials->due, &credential->due);
    credential->armed = 1;

    ngx_zertiban_credentials_set_clock(credentials);
}


static void
ngx_zertiban_credential_disarm(ngx_zertiban_credential_t *credential)
{
    if (credential->armed) {
        ngx_rbtree_delete(&ngx_zertiban_credential_set(credential)->due,
                          &credential->due);
        credential->armed = 0;
    }
}


static void
ngx_zertiban_credentials_set_clock(ngx_zertiban_credentials_t *credentials)
{
    ngx_event_t        *ev;
    ngx_msec_int_t      left;
    ngx_rbtree_node_t  *first;

    ev = &credentials->clock;

    if (credentials->due.root == &credentials->due_sentinel) {
        return;
    }

    first = ngx_rbtree_min(credentials->due.root, &credentials->due_sentinel);

    if (ev->timer_set) {

        if (ev->timer.key == first->key) {
            return;
        }

        /* ngx_add_timer() would not move it a little */

        ngx_del_timer(ev);
    }

    left = (ngx_msec_int_t) (first->key - ngx_current_msec);

    ngx_zertiban_credentials_add_timer(credentials, ev,
                                       ngx_zertiban_credentials_clock_handler,
                                       ngx_max(left, 0));
}


static void
ngx_zertiban_credentials_clock_handler(ngx_event_t *ev)
{
    ngx_rbtree_node_t           *first;
    ngx_zertiban_credential_t   *credential;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ev->data;

    while (credentials->due.root != &credentials->due_sentinel) {

        first = ngx_rbtree_min(credentials->due.root,
                               &credentials->due_sentinel);

        if (ngx_zertiban_before(ngx_current_msec, first->key)) {
            break;
        }

        credential = ngx_rbtree_data(first, ngx_zertiban_credential_t, due);

        ngx_zertiban_credential_disarm(credential);

        credentials->look_due(credential);
    }

    ngx_zertiban_credentials_set_clock(credentials);
}


void
ngx_zertiban_credential_forget(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    ngx_queue_remove(&credential->queue);

    credentials->ndynamic--;
    credentials->known -= ngx_zertiban_credential_size(&credential->identity);

    ngx_zertiban_credential_free(credential);
}


static void
ngx_zertiban_credential_free(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    ngx_rbtree_delete(&credentials->rbtree, &credential->rbnode);

    ngx_zertiban_credential_disarm(credential);

    ngx_zertiban_copy_free(&credentials->copies, &credential->copy);

    if (credential->pinned) {
        return;
    }

    ngx_explicit_memzero(credential->identity.secret.data,
                         credential->identity.secret.len);
    ngx_free(credential);
}


static void
ngx_zertiban_credentials_cleanup(void *data)
{
    ngx_zertiban_credentials_t *credentials = data;

    ngx_zertiban_credentials_del_timer(&credentials->start);
    ngx_zertiban_credentials_del_timer(&credentials->clock);
    ngx_zertiban_credentials_del_timer(&credentials->poll);
    ngx_zertiban_credentials_del_timer(&credentials->sweep);
    ngx_zertiban_credentials_del_timer(&credentials->failed_more);

    while (credentials->rbtree.root != credentials->rbtree.sentinel) {
        ngx_zertiban_credential_free(
               (ngx_zertiban_credential_t *) credentials->rbtree.root);
    }
}


void
ngx_zertiban_credentials_add_timer(ngx_zertiban_credentials_t *credentials,
    ngx_event_t *ev, ngx_event_handler_pt handler, ngx_msec_t timer)
{
    if (ev->timer_set) {
        return;
    }

    ev->handler = handler;
    ev->data = credentials;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, timer);
}


static void
ngx_zertiban_credentials_del_timer(ngx_event_t *ev)
{
    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}
