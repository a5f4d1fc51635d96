
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A shared zone without other processes.
 */


#include "fuzz_zone.h"


ngx_zertiban_zone_t *
fuzz_zone(ngx_pool_t *pool, size_t size)
{
    u_char           *p;
    ngx_conf_t        cf;
    ngx_cycle_t      *cycle;
    ngx_shm_zone_t   *shm_zone;
    ngx_core_conf_t  *ccf;
    ngx_slab_pool_t  *sp;

    static ngx_str_t  name = ngx_string("fuzz");

    ngx_pid = ngx_getpid();

    cycle = ngx_pcalloc(pool, sizeof(ngx_cycle_t));
    ccf = ngx_pcalloc(pool, sizeof(ngx_core_conf_t));
    p = ngx_pmemalign(pool, size, ngx_pagesize);

    fuzz_check(cycle != NULL && ccf != NULL && p != NULL);

    /* as in ngx_init_cycle() */

    ngx_core_module.index = 0;
    ccf->worker_processes = 4;

    cycle->conf_ctx = (void ****) ngx_palloc(pool, sizeof(void *));
    fuzz_check(cycle->conf_ctx != NULL);

    cycle->conf_ctx[0] = (void ***) ccf;

    cycle->log = &fuzz_log;
    ngx_cycle = cycle;

    fuzz_check(ngx_list_init(&cycle->shared_memory, pool, 1,
                             sizeof(ngx_shm_zone_t))
               == NGX_OK);

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.pool = pool;
    cf.cycle = cycle;
    cf.log = &fuzz_log;

    shm_zone = ngx_zertiban_shm_add(&cf, &name, size, pool);
    fuzz_check(shm_zone != NULL);

    /* as in ngx_init_zone_pool() */

    sp = (ngx_slab_pool_t *) p;
    ngx_memzero(sp, sizeof(ngx_slab_pool_t));

    sp->end = p + size;
    sp->min_shift = 3;
    sp->addr = p;

    shm_zone->shm.addr = p;
    shm_zone->shm.size = size;

    fuzz_check(ngx_shmtx_create(&sp->mutex, &sp->lock, NULL) == NGX_OK);

    ngx_slab_init(sp);

    fuzz_check(shm_zone->init(shm_zone, NULL) == NGX_OK);

    return shm_zone->data;
}
