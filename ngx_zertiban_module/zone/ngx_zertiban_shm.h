
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SHM_H_INCLUDED_
#define _NGX_ZERTIBAN_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * To be incremented whenever what is kept in shared memory changes.  The
 * number is a part of the name under which nginx knows the zone, so another
 * layout is another zone, and a reload with it begins with an empty one.
 */

#ifndef NGX_ZERTIBAN_ZONE_LAYOUT
#define NGX_ZERTIBAN_ZONE_LAYOUT  3
#endif


/* the zone's first piece of memory; survives that the zone is emptied */

typedef struct {
    ngx_atomic_t                changing;       /* the mutex is held */
    ngx_atomic_t                configuration;  /* the last one's number */

    ngx_atomic_uint_t           generation;     /* the last one given */
    ngx_uint_t                  lease;          /* as well */

    ngx_rbtree_t                rbtree;
    ngx_rbtree_node_t           sentinel;
    ngx_queue_t                 used;           /* the last used one first */
} ngx_zertiban_shm_t;


/* a configuration's handle of the shared memory */

typedef struct {
    ngx_zertiban_shm_t         *sh;
    ngx_slab_pool_t            *shpool;
    ngx_str_t                   name;
    ngx_uint_t                  configuration;
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
 * be obtained again.
 */

void ngx_zertiban_shm_lock(ngx_zertiban_zone_t *zone);
void ngx_zertiban_shm_unlock(ngx_zertiban_zone_t *zone);


#endif /* _NGX_ZERTIBAN_SHM_H_INCLUDED_ */
