
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The zone's shared memory: how it begins, its mutex, and how it begins anew
 * when a process has died with the mutex.
 */


#include "ngx_zertiban_shm.h"


static ngx_int_t ngx_zertiban_shm_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_zertiban_shm_begin(ngx_zertiban_zone_t *zone,
    size_t size);
static ngx_int_t ngx_zertiban_shm_format(ngx_zertiban_zone_t *zone,
    ngx_zertiban_shm_t *shm);
static void ngx_zertiban_shm_empty(ngx_zertiban_zone_t *zone);


ngx_shm_zone_t *
ngx_zertiban_shm_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    ngx_str_t             shm_name;
    ngx_shm_zone_t       *shm_zone;
    ngx_zertiban_zone_t  *zone;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->name = *name;
    zone->cycle = cf->cycle;
    zone->pins = 1;

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

    shm_zone->init = ngx_zertiban_shm_init;
    shm_zone->data = zone;

    return shm_zone;
}


static ngx_int_t
ngx_zertiban_shm_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_zertiban_zone_t  *ozone = data;

    ngx_zertiban_shm_t   *sh;
    ngx_zertiban_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (ozone) {

        /*
         * in use by the old workers, so nothing is changed but the number;
         * the mutex is not taken: the master process could not release it
         * from a worker that has died
         */

        zone->sh = ozone->sh;
        zone->configuration
                   = ngx_atomic_fetch_add(&zone->sh->configuration, 1) + 1;

        return NGX_OK;
    }

    if (ngx_zertiban_shm_begin(zone, shm_zone->shm.size) != NGX_OK) {
        return NGX_ERROR;
    }

    sh = zone->sh;

    sh->configuration = 1;

    /* unlike a pointer, a bitmap of the slab pool, a length, or text */

    sh->generation = ((ngx_atomic_uint_t) 1 << 63)
                     | ((ngx_atomic_uint_t) ngx_random() << 32);

    zone->configuration = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_shm_begin(ngx_zertiban_zone_t *zone, size_t size)
{
    size_t               len;
    ngx_core_conf_t     *ccf;
    ngx_zertiban_shm_t   shm;

    ngx_memzero(&shm, sizeof(ngx_zertiban_shm_t));

    ccf = (ngx_core_conf_t *) ngx_get_conf(zone->cycle->conf_ctx,
                                           ngx_core_module);

    ngx_zertiban_counters_plan(&shm.ledger, size, zone->named,
                               ccf->worker_processes);

    len = ngx_align(sizeof(ngx_zertiban_shm_t)
                    + sizeof(" in zertiban zone \"\"") + zone->name.len,
                    NGX_ALIGNMENT);

    /* its size keeps it out of the pages of pieces */

    shm.head = ngx_max(len + ngx_zertiban_counters_size(&shm.ledger),
                       2 * NGX_ZERTIBAN_PIECE);
    shm.start = ngx_time();

    if (ngx_zertiban_shm_format(zone, &shm) != NGX_OK) {
        return NGX_ERROR;
    }

    zone->sh->ledger.start = (u_char *) zone->sh + len;

    ngx_memzero(zone->sh->ledger.start, zone->sh->head - len);

    return NGX_OK;
}


/*
 * "shm" is the first allocation, and so always the first pages of the pool: if
 * it was there before, its counters are where they were.
 */

static ngx_int_t
ngx_zertiban_shm_format(ngx_zertiban_zone_t *zone, ngx_zertiban_shm_t *shm)
{
    ngx_uint_t           n;
    ngx_slab_pool_t     *shpool;
    ngx_zertiban_shm_t  *sh;

    shpool = zone->shpool;

    sh = ngx_slab_alloc_locked(shpool, shm->head);
    if (sh == NULL) {
        return NGX_ERROR;
    }

    if (sh != shm) {
        *sh = *shm;
    }

    zone->sh = sh;
    shpool->data = sh;

    ngx_rbtree_init(&sh->rbtree, &sh->sentinel, ngx_str_rbtree_insert_value);
    ngx_queue_init(&sh->tokens);
    ngx_queue_init(&sh->states);

    shpool->log_ctx = (u_char *) sh + sizeof(ngx_zertiban_shm_t);
    shpool->log_nomem = 0;

    ngx_sprintf(shpool->log_ctx, " in zertiban zone \"%V\"%Z", &zone->name);

    /* a slab of many small pieces keeps its bitmap in the first of them */

    n = ngx_pagesize / NGX_ZERTIBAN_PIECE;

    if (n > 8 * sizeof(uintptr_t)) {
        n--;
    }

    sh->pieces = shpool->pfree * n;
    sh->nodes = 0;
    sh->taken = 0;
    sh->held = 0;
    sh->fetching = 0;
    sh->evicted = 0;

    return NGX_OK;
}


void
ngx_zertiban_shm_lock(ngx_zertiban_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->sh->changing) {
        ngx_zertiban_shm_empty(zone);
    }

    zone->sh->changing = 1;

    ngx_memory_barrier();
}


void
ngx_zertiban_shm_unlock(ngx_zertiban_zone_t *zone)
{
    ngx_memory_barrier();

    zone->sh->changing = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->emptied) {
        zone->emptied = 0;

        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "zertiban zone \"%V\" was left locked by a process that "
                      "died, its tokens are dropped", &zone->name);
    }

    if (zone->evicted) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "zertiban zone \"%V\" is full, evicted %ui tokens that "
                      "had not expired: make \"zertiban_zone\" larger",
                      &zone->name, zone->evicted);
        zone->evicted = 0;
    }
}


/*
 * The counters go on, so what was given before is never given again.  With
 * all else zero no generation is there that a worker could take for current.
 */

static void
ngx_zertiban_shm_empty(ngx_zertiban_zone_t *zone)
{
    u_char           *p;
    ngx_slab_pool_t  *shpool;

    shpool = zone->shpool;

    p = (u_char *) zone->sh + zone->sh->head;

    ngx_explicit_memzero(p, shpool->end - p);

    ngx_slab_init(shpool);

    (void) ngx_zertiban_shm_format(zone, zone->sh);

    zone->sh->resets++;
    zone->sh->ledger.emptied = ngx_time();

    zone->emptied = 1;
}


void *
ngx_zertiban_shm_alloc(ngx_zertiban_zone_t *zone)
{
    void  *p;

    p = ngx_slab_alloc_locked(zone->shpool, NGX_ZERTIBAN_PIECE);

    if (p) {
        zone->sh->taken++;
    }

    return p;
}


void
ngx_zertiban_shm_free(ngx_zertiban_zone_t *zone, void *p)
{
    ngx_explicit_memzero(p, NGX_ZERTIBAN_PIECE);
    ngx_slab_free_locked(zone->shpool, p);

    zone->sh->taken--;
}
