
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The credentials that this worker knows: found by what makes them the same,
 * and forgotten when there are too many.
 */


#include "ngx_zertiban_credential.h"


#define NGX_ZERTIBAN_DYNAMIC_MIN  4096    /* in a worker process */
#define NGX_ZERTIBAN_DYNAMIC_LOG  10      /* one for each KB of the zone */
#define NGX_ZERTIBAN_FULL         10000   /* ms */


static void ngx_zertiban_credential_rbtree_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_zertiban_credential_t *ngx_zertiban_credential_alloc(
    ngx_zertiban_identity_t *identity);
static void ngx_zertiban_credentials_trim(
    ngx_zertiban_credentials_t *credentials);
static void ngx_zertiban_credential_free(
    ngx_zertiban_credential_t *credential);
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
    ngx_queue_init(&credentials->pinned);
    ngx_queue_init(&credentials->dynamic);
    ngx_queue_init(&credentials->waiting);

    cln->handler = ngx_zertiban_credentials_cleanup;

    return credentials;
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
    ngx_pool_t *pool, ngx_zertiban_identity_t *identity,
    ngx_zertiban_client_conf_t *client, ngx_msec_t refresh_before)
{
    ngx_zertiban_credential_t  *credential;

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

    credential->rbnode.key = ngx_zertiban_identity_hash(identity);
    ngx_rbtree_insert(&credentials->rbtree, &credential->rbnode);

    if (pool) {
        ngx_queue_insert_tail(&credentials->pinned, &credential->queue);

    } else {
        ngx_zertiban_credentials_trim(credentials);

        ngx_queue_insert_head(&credentials->dynamic, &credential->queue);
        credentials->ndynamic++;
    }

    return credential;
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
           + identity->secret.len;

    credential = ngx_calloc(size, ngx_cycle->log);
    if (credential == NULL) {
        return NULL;
    }

    p = (u_char *) credential + sizeof(ngx_zertiban_credential_t);

    /* the URL and the scope are the configuration's */

    credential->identity = *identity;

    credential->identity.id.data = p;
    p = ngx_cpymem(p, identity->id.data, identity->id.len);

    credential->identity.secret.data = p;
    ngx_memcpy(p, identity->secret.data, identity->secret.len);

    return credential;
}


/* makes room for one more */

static void
ngx_zertiban_credentials_trim(ngx_zertiban_credentials_t *credentials)
{
    size_t                      max;
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    max = credentials->shm_zone->shm.size >> NGX_ZERTIBAN_DYNAMIC_LOG;

    if (credentials->ndynamic < ngx_max(max, NGX_ZERTIBAN_DYNAMIC_MIN)) {
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
ngx_zertiban_credential_forget(ngx_zertiban_credential_t *credential)
{
    ngx_queue_remove(&credential->queue);
    credential->credentials->ndynamic--;

    ngx_zertiban_credential_free(credential);
}


static void
ngx_zertiban_credential_free(ngx_zertiban_credential_t *credential)
{
    ngx_rbtree_delete(&credential->credentials->rbtree, &credential->rbnode);

    if (credential->timer.timer_set) {
        ngx_del_timer(&credential->timer);
    }

    ngx_zertiban_copy_free(&credential->copy);

    if (credential->pinned) {
        return;
    }

    ngx_explicit_memzero(credential->identity.secret.data,
                         credential->identity.secret.len);
    ngx_free(credential);
}


ngx_uint_t
ngx_zertiban_credentials_full(ngx_zertiban_credentials_t *credentials)
{
    if (credentials->full
        && ngx_zertiban_before(ngx_current_msec, credentials->full))
    {
        return NGX_LOG_INFO;
    }

    credentials->full = ngx_current_msec + NGX_ZERTIBAN_FULL;

    return NGX_LOG_ERR;
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
