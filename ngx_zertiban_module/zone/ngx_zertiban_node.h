
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_NODE_H_INCLUDED_
#define _NGX_ZERTIBAN_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_error.h"
#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_shm.h"


/* of moments in the time of ngx_current_msec */

#define ngx_zertiban_before(a, b)  ((ngx_msec_int_t) ((a) - (b)) < 0)


/*
 * What all workers know of a credential.
 *
 * A generation is never given again and looks like nothing else in the zone,
 * so "generation" may be read without the lock, even if the node is gone: if
 * it is the one that came with a copy of the token, the copy is current.
 * "ended" may be read as well, to see that it has changed.
 */

typedef struct {
    ngx_str_node_t              sn;             /* of "key" */
    ngx_queue_t                 queue;          /* by last use */
    u_char                      key[NGX_ZERTIBAN_KEY_LEN];

    ngx_atomic_t                generation;     /* 0: no token */
    u_char                     *value;          /* "Bearer <token>" */
    size_t                      len;
    size_t                      size;
    ngx_msec_t                  obtained;
    ngx_msec_t                  usable;         /* until then */
    ngx_msec_t                  refresh;        /* from then on */

    ngx_uint_t                  lease;          /* 0: no exchange in flight */
    ngx_pid_t                   owner;
    ngx_msec_t                  started;
    ngx_msec_t                  deadline;
    ngx_atomic_t                ended;          /* so many exchanges */

    ngx_uint_t                  failures;       /* consecutive */
    ngx_zertiban_error_e        error;          /* of the last one */
    ngx_msec_t                  retry;          /* not before */

    ngx_uint_t                  pinned;         /* by this configuration */
} ngx_zertiban_node_t;


/* all that follows is called with the slab pool's mutex held */

/* Finds the node of "key", or returns NULL. */

ngx_zertiban_node_t *ngx_zertiban_node_find(ngx_zertiban_zone_t *zone,
    u_char *key);

/*
 * Finds or makes the node of "key", of NGX_ZERTIBAN_KEY_LEN bytes, and makes
 * it the last used one.  Returns NULL if the zone is full.
 */

ngx_zertiban_node_t *ngx_zertiban_node_get(ngx_zertiban_zone_t *zone,
    u_char *key);

/* makes it the last used one */

void ngx_zertiban_node_use(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);

/*
 * Sees that node->value has room for "size" bytes.  The token that it holds
 * is lost only if the function has to, and succeeds to, find another place.
 *
 * Returns NGX_OK, or NGX_ERROR if the zone is full.
 */

ngx_int_t ngx_zertiban_node_reserve(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, size_t size);

/* whether the node's exchange is in flight, in a process that lives */

ngx_uint_t ngx_zertiban_node_leased(ngx_zertiban_node_t *node);


#endif /* _NGX_ZERTIBAN_NODE_H_INCLUDED_ */
