
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The shared zone: the state of every credential, for all workers.
 */


#include "ngx_zertiban_zone.h"


#define NGX_ZERTIBAN_SCHEME     "Bearer "

#define NGX_ZERTIBAN_MARGIN     2000    /* ms before expiry, not used */
#define NGX_ZERTIBAN_SPACING    1000    /* ms between exchanges, at least */
#define NGX_ZERTIBAN_SLACK      500     /* ms after which a lease is void */


static ngx_int_t ngx_zertiban_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_msec_t timeout, ngx_zertiban_view_t *view);
static void ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_msec_t timeout, ngx_zertiban_view_t *view);
static ngx_int_t ngx_zertiban_zone_copy(ngx_zertiban_node_t *node,
    ngx_zertiban_view_t *view);
static ngx_uint_t ngx_zertiban_zone_valid(ngx_zertiban_node_t *node);
static void ngx_zertiban_zone_set_life(ngx_zertiban_node_t *node,
    ngx_zertiban_life_t *life);
static ngx_msec_t ngx_zertiban_zone_usable(ngx_zertiban_life_t *life);
static ngx_msec_t ngx_zertiban_zone_delay(ngx_zertiban_error_e error,
    ngx_uint_t failures, time_t retry_after);
static ngx_msec_t ngx_zertiban_zone_spread(ngx_msec_t msec);


ngx_shm_zone_t *
ngx_zertiban_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    ngx_str_t             shm_name;
    ngx_shm_zone_t       *shm_zone;
    ngx_zertiban_zone_t  *zone;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->name = *name;

    shm_name.data = ngx_pnalloc(cf->pool, name->len + 1 + NGX_INT_T_LEN);
    if (shm_name.data == NULL) {
        return NULL;
    }

    shm_name.len = ngx_sprintf(shm_name.data, "%V/%i", name,
                               (ngx_int_t) NGX_ZERTIBAN_ZONE_LAYOUT)
                   - shm_name.data;

    shm_zone = ngx_shared_memory_add(cf, &shm_name, size, tag);
    if (shm_zone == NULL) {
        return NULL;
    }

    shm_zone->init = ngx_zertiban_zone_init;
    shm_zone->data = zone;

    return shm_zone;
}


static ngx_int_t
ngx_zertiban_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_zertiban_zone_t  *ozone = data;

    size_t                len;
    ngx_zertiban_shm_t   *sh;
    ngx_zertiban_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (ozone || shm_zone->shm.exists) {

        /* in use by the old workers, so nothing is changed but the number */

        sh = zone->shpool->data;

        if (sh->layout != NGX_ZERTIBAN_ZONE_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "zertiban zone \"%V\" has another layout, "
                          "restart nginx", &zone->name);
            return NGX_ERROR;
        }

        ngx_shmtx_lock(&zone->shpool->mutex);
        zone->sh = sh;
        zone->configuration = ++sh->configuration;
        ngx_shmtx_unlock(&zone->shpool->mutex);

        return NGX_OK;
    }

    sh = ngx_slab_calloc(zone->shpool, sizeof(ngx_zertiban_shm_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    sh->layout = NGX_ZERTIBAN_ZONE_LAYOUT;
    sh->configuration = 1;

    ngx_zertiban_node_init(sh);

    zone->sh = sh;
    zone->configuration = 1;
    zone->shpool->data = sh;

    len = sizeof(" in zertiban zone \"\"") + zone->name.len;

    zone->shpool->log_ctx = ngx_slab_alloc(zone->shpool, len);
    if (zone->shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(zone->shpool->log_ctx, " in zertiban zone \"%V\"%Z",
                &zone->name);

    zone->shpool->log_nomem = 0;

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_zone_acquire(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_node_t **nodep, ngx_uint_t pinned, ngx_msec_t timeout,
    ngx_zertiban_view_t *view)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    view->lease = 0;

    ngx_shmtx_lock(&zone->shpool->mutex);

    node = ngx_zertiban_node_get(zone, key);
    *nodep = node;

    if (node) {

        if (pinned) {
            node->pinned = zone->configuration;
        }

        rc = ngx_zertiban_zone_look(zone, node, timeout, view);

    } else {
        rc = NGX_ERROR;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


static ngx_int_t
ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_msec_t timeout, ngx_zertiban_view_t *view)
{
    ngx_uint_t  valid, delayed;

    valid = ngx_zertiban_zone_valid(node);
    delayed = (node->failures
               && ngx_zertiban_before(ngx_current_msec, node->retry));

    if (valid) {

        if (ngx_zertiban_zone_copy(node, view) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!delayed && !ngx_exiting
            && !ngx_zertiban_before(ngx_current_msec, node->refresh))
        {
            ngx_zertiban_zone_lease(zone, node, timeout, view);
        }

        return NGX_OK;
    }

    if (delayed && !ngx_zertiban_node_leased(node)) {
        view->error = node->error;
        view->delay = node->retry - ngx_current_msec;
        return NGX_DECLINED;
    }

    ngx_zertiban_zone_lease(zone, node, timeout, view);

    return NGX_AGAIN;
}


static void
ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_msec_t timeout, ngx_zertiban_view_t *view)
{
    if (ngx_zertiban_node_leased(node)) {
        return;
    }

    /* a lease that is left over is of a process that died: no need to wait */

    if (node->lease == 0 && node->started
        && ngx_zertiban_before(ngx_current_msec,
                               node->started + NGX_ZERTIBAN_SPACING))
    {
        return;
    }

    node->lease = ++zone->sh->lease;
    node->owner = ngx_pid;
    node->started = ngx_current_msec;
    node->deadline = ngx_current_msec + timeout + NGX_ZERTIBAN_SLACK;

    view->lease = node->lease;
}


/* an allocation under the lock: once a worker for a credential */

static ngx_int_t
ngx_zertiban_zone_copy(ngx_zertiban_node_t *node, ngx_zertiban_view_t *view)
{
    u_char  *p;

    if (view->size < node->len) {

        p = ngx_alloc(node->size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_zertiban_view_free(view);

        view->value.data = p;
        view->size = node->size;
    }

    ngx_memcpy(view->value.data, node->value, node->len);

    view->value.len = node->len;
    view->generation = node->generation;
    view->usable = node->usable;
    view->refresh = node->refresh;

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

    ngx_shmtx_lock(&zone->shpool->mutex);

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

        ngx_zertiban_zone_set_life(node, life);

        outcome->failures = node->failures;

        node->failures = 0;
        node->error = NGX_ZERTIBAN_OK;

        ngx_memory_barrier();
        node->generation = ++zone->sh->generation;

        node->lease = 0;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

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

    ngx_shmtx_lock(&zone->shpool->mutex);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->lease == lease) {
        node->failures++;
        node->error = error;

        outcome->failures = node->failures;
        outcome->delay = ngx_zertiban_zone_delay(error, node->failures,
                                                 retry_after);

        node->retry = ngx_current_msec + outcome->delay;
        node->lease = 0;

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return rc;
}


ngx_uint_t
ngx_zertiban_zone_pending(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_uint_t            pending;
    ngx_zertiban_node_t  *node;

    ngx_shmtx_lock(&zone->shpool->mutex);

    node = ngx_zertiban_node_find(zone, key);

    pending = (node
               && !ngx_zertiban_zone_valid(node)
               && ngx_zertiban_node_leased(node));

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return pending;
}


void
ngx_zertiban_view_free(ngx_zertiban_view_t *view)
{
    if (view->value.data) {
        ngx_explicit_memzero(view->value.data, view->size);
        ngx_free(view->value.data);
    }
}


ngx_str_t *
ngx_zertiban_zone_name(ngx_zertiban_zone_t *zone)
{
    return &zone->name;
}


static void
ngx_zertiban_zone_set_life(ngx_zertiban_node_t *node,
    ngx_zertiban_life_t *life)
{
    ngx_msec_t  before;

    before = ngx_min(life->refresh_before, life->lifetime / 2);

    node->usable = ngx_zertiban_zone_usable(life);
    node->refresh = life->sent + life->lifetime
                    - ngx_zertiban_zone_spread(before);
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

    return ngx_zertiban_zone_spread(ngx_min(delay, max));
}


/* 10 % either way */

static ngx_msec_t
ngx_zertiban_zone_spread(ngx_msec_t msec)
{
    return msec - msec / 10 + (ngx_msec_t) ngx_random() % (msec / 5 + 1);
}
