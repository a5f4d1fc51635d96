
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The shared zone: the state of every credential, for all workers.
 */


#include "ngx_zertiban_zone.h"


#define NGX_ZERTIBAN_SCHEME     "Bearer "

#define NGX_ZERTIBAN_MARGIN     2000    /* ms before expiry, not used */
#define NGX_ZERTIBAN_SPACING    1000    /* ms between exchanges, at least */
#define NGX_ZERTIBAN_YOUNG      10000   /* ms, a token is not dropped */
#define NGX_ZERTIBAN_SLACK      500     /* ms after which a lease is void */
#define NGX_ZERTIBAN_LOOK       1000    /* ms, while others are at it */
#define NGX_ZERTIBAN_LOOK_FULL  10000   /* ms, while there is no room */


static ngx_int_t ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_msec_t timeout, ngx_zertiban_copy_t *copy,
    ngx_zertiban_look_t *look);
static void ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_msec_t timeout, ngx_zertiban_look_t *look);
static ngx_int_t ngx_zertiban_zone_copy(ngx_zertiban_node_t *node,
    ngx_zertiban_copy_t *copy);
static ngx_uint_t ngx_zertiban_zone_valid(ngx_zertiban_node_t *node);
static void ngx_zertiban_zone_end(ngx_zertiban_node_t *node);
static ngx_uint_t ngx_zertiban_zone_young(ngx_zertiban_node_t *node);
static void ngx_zertiban_zone_set_life(ngx_zertiban_node_t *node,
    ngx_zertiban_life_t *life);
static ngx_msec_t ngx_zertiban_zone_usable(ngx_zertiban_life_t *life);
static ngx_msec_t ngx_zertiban_zone_delay(ngx_zertiban_error_e error,
    ngx_uint_t failures, time_t retry_after);
static ngx_msec_t ngx_zertiban_zone_spread(ngx_msec_t msec);


ngx_int_t
ngx_zertiban_zone_acquire(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_node_t **nodep, ngx_uint_t pinned, ngx_msec_t timeout,
    ngx_zertiban_copy_t *copy, ngx_zertiban_look_t *look)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    look->lease = 0;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_get(zone, key);

    if (node) {
        *nodep = node;

        if (pinned && node->pinned < zone->configuration) {
            node->pinned = zone->configuration;
        }

        rc = ngx_zertiban_zone_look(zone, node, timeout, copy, look);

    } else {
        rc = NGX_ERROR;
    }

    ngx_zertiban_shm_unlock(zone);

    if (rc == NGX_ERROR) {
        look->next = ngx_current_msec + NGX_ZERTIBAN_LOOK_FULL;
    }

    return rc;
}


static ngx_int_t
ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_msec_t timeout, ngx_zertiban_copy_t *copy, ngx_zertiban_look_t *look)
{
    ngx_uint_t  delayed;

    delayed = (node->failures
               && ngx_zertiban_before(ngx_current_msec, node->retry));

    look->ended = node->ended;
    look->next = ngx_current_msec + NGX_ZERTIBAN_LOOK;

    if (ngx_zertiban_zone_valid(node)) {

        if (ngx_zertiban_zone_copy(node, copy) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_zertiban_before(ngx_current_msec, node->refresh)) {
            look->next = node->refresh;

        } else if (delayed) {
            look->next = node->retry;

        } else if (!ngx_exiting) {
            ngx_zertiban_zone_lease(zone, node, timeout, look);
        }

        return NGX_OK;
    }

    if (delayed && !ngx_zertiban_node_leased(node)) {
        look->error = node->error;
        look->delay = node->retry - ngx_current_msec;
        look->next = node->retry;
        return NGX_DECLINED;
    }

    ngx_zertiban_zone_lease(zone, node, timeout, look);

    return NGX_AGAIN;
}


static void
ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_msec_t timeout, ngx_zertiban_look_t *look)
{
    if (ngx_zertiban_node_leased(node)) {

        if (ngx_zertiban_before(node->deadline, look->next)) {
            look->next = node->deadline;
        }

        return;
    }

    /* a lease that is left over is of a process that died: no need to wait */

    if (node->lease == 0 && node->started
        && ngx_zertiban_before(ngx_current_msec,
                               node->started + NGX_ZERTIBAN_SPACING))
    {
        look->next = node->started + NGX_ZERTIBAN_SPACING;
        return;
    }

    node->lease = ++zone->sh->lease;
    node->owner = ngx_pid;
    node->started = ngx_current_msec;
    node->deadline = ngx_current_msec + timeout + NGX_ZERTIBAN_SLACK;

    look->lease = node->lease;
}


/* an allocation under the lock: once a worker for a credential */

static ngx_int_t
ngx_zertiban_zone_copy(ngx_zertiban_node_t *node, ngx_zertiban_copy_t *copy)
{
    u_char  *p;

    if (copy->size < node->len) {

        p = ngx_alloc(node->size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_zertiban_copy_free(copy);

        copy->value.data = p;
        copy->size = node->size;
    }

    ngx_memcpy(copy->value.data, node->value, node->len);

    copy->value.len = node->len;
    copy->generation = node->generation;
    copy->usable = node->usable;

    return NGX_OK;
}


static ngx_uint_t
ngx_zertiban_zone_valid(ngx_zertiban_node_t *node)
{
    return node->generation
           && ngx_zertiban_before(ngx_current_msec, node->usable);
}


ngx_uint_t
ngx_zertiban_zone_alive(ngx_zertiban_life_t *life)
{
    return ngx_zertiban_before(ngx_current_msec,
                               ngx_zertiban_zone_usable(life));
}


ngx_int_t
ngx_zertiban_zone_publish(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_str_t *token, ngx_zertiban_life_t *life,
    ngx_zertiban_outcome_t *outcome)
{
    u_char               *p;
    size_t                len;
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    len = sizeof(NGX_ZERTIBAN_SCHEME) - 1 + token->len;
    rc = NGX_DECLINED;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->lease == lease) {
        rc = ngx_zertiban_node_reserve(zone, node, len);
    }

    if (rc == NGX_OK) {

        /*
         * without a generation there is no token: a process that is killed
         * here leaves none, rather than a half of one
         */

        node->generation = 0;
        ngx_memory_barrier();

        p = ngx_cpymem(node->value, NGX_ZERTIBAN_SCHEME,
                       sizeof(NGX_ZERTIBAN_SCHEME) - 1);
        ngx_memcpy(p, token->data, token->len);

        node->len = len;

        node->obtained = ngx_current_msec;

        ngx_zertiban_zone_set_life(node, life);

        outcome->failures = node->failures;

        node->failures = 0;
        node->error = NGX_ZERTIBAN_OK;

        ngx_memory_barrier();
        node->generation = ++zone->sh->generation;

        ngx_zertiban_zone_end(node);

        /* those who have waited for it will come now */

        ngx_zertiban_node_use(zone, node);
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


ngx_int_t
ngx_zertiban_zone_fail(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_error_e error, time_t retry_after,
    ngx_zertiban_outcome_t *outcome)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    rc = NGX_DECLINED;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->lease == lease) {
        node->failures++;
        node->error = error;

        outcome->failures = node->failures;
        outcome->delay = ngx_zertiban_zone_delay(error, node->failures,
                                                 retry_after);

        node->retry = ngx_current_msec + outcome->delay;

        ngx_zertiban_zone_end(node);

        rc = NGX_OK;
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


void
ngx_zertiban_zone_release(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease)
{
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->lease == lease) {
        node->started = 0;
        ngx_zertiban_zone_end(node);
    }

    ngx_zertiban_shm_unlock(zone);
}


static void
ngx_zertiban_zone_end(ngx_zertiban_node_t *node)
{
    node->lease = 0;
    node->ended++;
}


ngx_int_t
ngx_zertiban_zone_drop(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    rc = NGX_OK;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->generation == generation) {

        if (ngx_zertiban_zone_young(node)) {
            rc = NGX_DECLINED;

        } else {
            node->generation = 0;
            ngx_explicit_memzero(node->value, node->len);
        }
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


void
ngx_zertiban_zone_doubt(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation)
{
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->generation == generation
        && !ngx_zertiban_zone_young(node)
        && ngx_zertiban_before(ngx_current_msec, node->refresh))
    {
        node->refresh = ngx_current_msec;
    }

    ngx_zertiban_shm_unlock(zone);
}


/* a token that was obtained just now is not what the API objects to */

static ngx_uint_t
ngx_zertiban_zone_young(ngx_zertiban_node_t *node)
{
    return ngx_zertiban_before(ngx_current_msec,
                               node->obtained + NGX_ZERTIBAN_YOUNG);
}


ngx_uint_t
ngx_zertiban_zone_pending(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_uint_t            pending;
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    pending = (node
               && !ngx_zertiban_zone_valid(node)
               && ngx_zertiban_node_leased(node));

    ngx_zertiban_shm_unlock(zone);

    return pending;
}


void
ngx_zertiban_copy_free(ngx_zertiban_copy_t *copy)
{
    if (copy->value.data) {
        ngx_explicit_memzero(copy->value.data, copy->size);
        ngx_free(copy->value.data);
    }
}


static void
ngx_zertiban_zone_set_life(ngx_zertiban_node_t *node,
    ngx_zertiban_life_t *life)
{
    ngx_msec_t  before;

    /* with the spread it is no more than half of the lifetime */

    before = ngx_min(life->refresh_before, life->lifetime * 5 / 11);
    before = ngx_zertiban_zone_spread(before);

    node->usable = ngx_zertiban_zone_usable(life);
    node->refresh = life->sent + life->lifetime - before;

    /* a token that is not usable is due */

    if (ngx_zertiban_before(node->usable, node->refresh)) {
        node->refresh = node->usable;
    }
}


static ngx_msec_t
ngx_zertiban_zone_usable(ngx_zertiban_life_t *life)
{
    return life->sent + life->lifetime
           - ngx_min(life->lifetime / 10, NGX_ZERTIBAN_MARGIN);
}


static ngx_msec_t
ngx_zertiban_zone_delay(ngx_zertiban_error_e error, ngx_uint_t failures,
    time_t retry_after)
{
    ngx_msec_t  delay, max;

    if (retry_after >= 0) {
        return ngx_max((ngx_msec_t) retry_after * 1000, NGX_ZERTIBAN_SPACING);
    }

    if (error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT) {
        delay = 5000;
        max = 300000;

    } else {
        delay = 1000;
        max = 30000;
    }

    delay <<= ngx_min(failures - 1, 10);
    delay = ngx_zertiban_zone_spread(ngx_min(delay, max));

    return ngx_max(delay, NGX_ZERTIBAN_SPACING);
}


/* 10 % either way */

static ngx_msec_t
ngx_zertiban_zone_spread(ngx_msec_t msec)
{
    return msec - msec / 10 + (ngx_msec_t) ngx_random() % (msec / 5 + 1);
}
