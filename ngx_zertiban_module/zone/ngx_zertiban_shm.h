
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SHM_H_INCLUDED_
#define _NGX_ZERTIBAN_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_counters.h"


/*
 * To be incremented whenever what is kept in shared memory changes.  The
 * number is a part of the name under which nginx knows the zone, so another
 * layout is another zone, and a reload with it begins with an empty one.
 */

#ifndef NGX_ZERTIBAN_ZONE_LAYOUT
#define NGX_ZERTIBAN_ZONE_LAYOUT  7
#endif

/* all other memory of the zone is allocated in pieces of this size, bytes */

#define NGX_ZERTIBAN_PIECE        ((size_t) 256)

/* of moments in the time of ngx_current_msec */

#define ngx_zertiban_before(a, b)  ((ngx_msec_int_t) ((a) - (b)) < 0)

/* moments and lifetimes in ms would wrap: a dead token would look alive */

#if (NGX_PTR_SIZE < 8)
#error ngx_zertiban_module needs a 64-bit machine, this one has 32 bits
#endif


/*
 * The zone's first allocation, with the counters behind it; what is counted,
 * and what was given, survives that the zone is emptied.
 */

typedef struct {
    time_t                      start;          /* the zone was made */
    ngx_zertiban_ledger_t       ledger;         /* what is counted */
    size_t                      head;           /* bytes, with that */
    ngx_uint_t                  evictions;      /* of tokens that had not
                                                   expired */
    ngx_uint_t                  resets;         /* it was emptied */

    ngx_atomic_t                changing;       /* the mutex is held */
    ngx_atomic_t                configuration;  /* the last one's number */

    ngx_atomic_uint_t           generation;     /* the last one given */
    ngx_uint_t                  lease;          /* as well */

    ngx_rbtree_t                rbtree;
    ngx_rbtree_node_t           sentinel;
    ngx_queue_t                 tokens;         /* nodes that have one, the
                                                   last used one first */
    ngx_queue_t                 states;         /* nodes without, as well */

    ngx_uint_t                  nodes;
    ngx_uint_t                  pieces;         /* of the zone */
    ngx_uint_t                  taken;          /* so many are */
    ngx_uint_t                  held;           /* by nodes with a token */
    ngx_uint_t                  fetching;       /* leases without a token */

    ngx_uint_t                  evicted;        /* tokens, not said yet */
    ngx_msec_t                  said;           /* in the log, 0: never */
} ngx_zertiban_shm_t;


/* a configuration's handle of the shared memory */

typedef struct {
    ngx_zertiban_shm_t         *sh;
    ngx_slab_pool_t            *shpool;
    ngx_str_t                   name;
    ngx_cycle_t                *cycle;
    ngx_uint_t                  named;          /* credentials, by this
                                                   configuration */
    ngx_uint_t                  configuration;
    ngx_uint_t                  pins;           /* what is pinned by this
                                                   configuration, or a later
                                                   one, is not evicted here */
    ngx_uint_t                  evicted;        /* to be said */
    unsigned                    emptied:1;
} ngx_zertiban_zone_t;


/*
 * The zone "name" of "size" bytes for the module "tag"; shm_zone->data is its
 * handle, of the configuration's pool.  Returns NULL if there is no memory, or
 * if another zone of this name has been declared.
 */

ngx_shm_zone_t *ngx_zertiban_shm_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *tag);

/*
 * Take and release the slab pool's mutex.  If a process has died with it, the
 * memory may be torn, so the zone is emptied: every credential's token has to
 * be obtained again.  What has happened under the mutex is logged behind it.
 */

void ngx_zertiban_shm_lock(ngx_zertiban_zone_t *zone);
void ngx_zertiban_shm_unlock(ngx_zertiban_zone_t *zone);

/*
 * Allocate and wipe a piece, with the mutex held.  NULL if there is none, and
 * another one has to go.
 */

void *ngx_zertiban_shm_alloc(ngx_zertiban_zone_t *zone);
void ngx_zertiban_shm_free(ngx_zertiban_zone_t *zone, void *p);


#endif /* _NGX_ZERTIBAN_SHM_H_INCLUDED_ */
