
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_DEMAND_H_INCLUDED_
#define _NGX_ZERTIBAN_DEMAND_H_INCLUDED_


#include "ngx_zertiban_node.h"


/* somebody asks for a new token, and for what becomes of that; zeroed first */

typedef struct {
    ngx_zertiban_tags_t        *tags;           /* of all its pairs, or NULL */

    /* what there was when it was asked for, or when an exchange told nothing */

    ngx_atomic_uint_t           generation;
    ngx_atomic_uint_t           ended;
    ngx_uint_t                  troubles;

    ngx_zertiban_error_e        error;
    ngx_msec_t                  delay;          /* ms to the next attempt */
    unsigned                    seen:1;
    unsigned                    renewed:1;      /* others were tried last */
} ngx_zertiban_demand_t;


/*
 * Says what becomes of the demand, as often as it is asked.  A token is
 * replaced that is 10 s old, or has not been asked for with these pairs; if
 * there are better pairs than its own, which were refused, they are tried
 * before it is time.  Takes the slab pool's mutex.
 *
 * Returns
 *     NGX_OK        an exchange is due, and it is the caller's to look
 *     NGX_AGAIN     one is in flight
 *     NGX_DECLINED  there was a failure, which is demand->error, and there is
 *                   none before demand->delay
 *     NGX_DONE      demand->error is the outcome of an exchange, or there is a
 *                   token that is too young for one
 */

ngx_int_t ngx_zertiban_demand(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_demand_t *demand);


#endif /* _NGX_ZERTIBAN_DEMAND_H_INCLUDED_ */
