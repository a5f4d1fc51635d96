
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The nodes of the shared zone: finding them, and the memory of tokens.
 */


#include "ngx_zertiban_node.h"


static uint32_t ngx_zertiban_node_hash(u_char *key);
static ngx_zertiban_node_t *ngx_zertiban_node_create(ngx_zertiban_zone_t *zone,
    u_char *key);
static void *ngx_zertiban_node_alloc(ngx_zertiban_zone_t *zone, size_t size,
    ngx_zertiban_node_t *keep);
static void ngx_zertiban_node_free_value(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);
static ngx_int_t ngx_zertiban_node_evict(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *keep);


ngx_zertiban_node_t *
ngx_zertiban_node_find(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_str_t  str;

    str.len = NGX_ZERTIBAN_KEY_LEN;
    str.data = key;

    return (ngx_zertiban_node_t *) ngx_str_rbtree_lookup(&zone->sh->rbtree,
                                           &str, ngx_zertiban_node_hash(key));
}


ngx_zertiban_node_t *
ngx_zertiban_node_get(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_find(zone, key);

    if (node == NULL) {
        return ngx_zertiban_node_create(zone, key);
    }

    ngx_zertiban_node_use(zone, node);

    return node;
}


void
ngx_zertiban_node_use(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    ngx_queue_remove(&node->queue);
    ngx_queue_insert_head(&zone->sh->used, &node->queue);
}


/* the key is a digest: any part of it is a hash */

static uint32_t
ngx_zertiban_node_hash(u_char *key)
{
    uint32_t  hash;

    ngx_memcpy(&hash, key, sizeof(uint32_t));

    return hash;
}


static ngx_zertiban_node_t *
ngx_zertiban_node_create(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_alloc(zone, sizeof(ngx_zertiban_node_t), NULL);
    if (node == NULL) {
        return NULL;
    }

    ngx_memzero(node, sizeof(ngx_zertiban_node_t));

    ngx_memcpy(node->key, key, NGX_ZERTIBAN_KEY_LEN);

    node->sn.str.len = NGX_ZERTIBAN_KEY_LEN;
    node->sn.str.data = node->key;
    node->sn.node.key = ngx_zertiban_node_hash(key);

    ngx_rbtree_insert(&zone->sh->rbtree, &node->sn.node);
    ngx_queue_insert_head(&zone->sh->used, &node->queue);

    return node;
}


ngx_int_t
ngx_zertiban_node_reserve(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    size_t size)
{
    u_char  *p;

    if (node->size >= size) {
        return NGX_OK;
    }

    p = ngx_zertiban_node_alloc(zone, size, node);
    if (p == NULL) {
        return NGX_ERROR;
    }

    node->generation = 0;
    ngx_memory_barrier();

    ngx_zertiban_node_free_value(zone, node);

    node->value = p;
    node->size = size;

    return NGX_OK;
}


static void *
ngx_zertiban_node_alloc(ngx_zertiban_zone_t *zone, size_t size,
    ngx_zertiban_node_t *keep)
{
    void  *p;

    do {
        p = ngx_slab_alloc_locked(zone->shpool, size);

        if (p) {
            return p;
        }

    } while (ngx_zertiban_node_evict(zone, keep) == NGX_OK);

    return NULL;
}


static void
ngx_zertiban_node_free_value(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node)
{
    if (node->value) {
        ngx_explicit_memzero(node->value, node->size);
        ngx_slab_free_locked(zone->shpool, node->value);

        node->value = NULL;
        node->size = 0;
    }
}


/* the least recently used one goes, unless it is needed */

static ngx_int_t
ngx_zertiban_node_evict(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *keep)
{
    ngx_queue_t          *q, *used;
    ngx_zertiban_node_t  *node;

    used = &zone->sh->used;

    for (q = ngx_queue_last(used);
         q != ngx_queue_sentinel(used);
         q = ngx_queue_prev(q))
    {
        node = ngx_queue_data(q, ngx_zertiban_node_t, queue);

        if (node == keep
            || node->pinned >= zone->configuration
            || (node->lease
                && ngx_zertiban_before(ngx_current_msec, node->deadline)))
        {
            continue;
        }

        node->generation = 0;

        ngx_rbtree_delete(&zone->sh->rbtree, &node->sn.node);
        ngx_queue_remove(&node->queue);

        ngx_zertiban_node_free_value(zone, node);
        ngx_slab_free_locked(zone->shpool, node);

        return NGX_OK;
    }

    return NGX_ERROR;
}


ngx_uint_t
ngx_zertiban_node_leased(ngx_zertiban_node_t *node)
{
    if (node->lease == 0
        || !ngx_zertiban_before(ngx_current_msec, node->deadline))
    {
        return 0;
    }

    /* the deadline covers a process id that was given to another process */

    return node->owner == ngx_pid
           || kill(node->owner, 0) == 0
           || ngx_errno != NGX_ESRCH;
}
