
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_LIFE_H_INCLUDED_
#define _NGX_ZERTIBAN_LIFE_H_INCLUDED_


#include "ngx_zertiban_node.h"


/* how long a token is good for, ms */

typedef struct {
    ngx_msec_t                  sent;           /* in ngx_current_msec's time */
    ngx_msec_t                  lifetime;
    ngx_msec_t                  refresh_before;
    ngx_zertiban_mark_t         mark;           /* if a gateway has shared it,
                                                   or 0 */
    ngx_zertiban_mark_t         told;           /* to that gateway: of one that
                                                   the API has refused, or 0 */
    ngx_msec_t                  age;            /* then; and from "sent" on to
                                                   that gateway's next one */
    ngx_msec_t                  next;
} ngx_zertiban_life_t;


/* when a token of such a life is used for the last time */

ngx_msec_t ngx_zertiban_life_usable(ngx_zertiban_life_t *life);

/* of the node's token, which has just come; with the slab pool's mutex held */

void ngx_zertiban_life_begin(ngx_zertiban_node_t *node,
    ngx_zertiban_life_t *life);

/*
 * For how long, ms, it is too early for another token yet than the one that was
 * obtained, or asked for, at "since"; 0 if it is not.
 */

ngx_msec_t ngx_zertiban_life_young(ngx_msec_t since);

/* 10 % either way */

ngx_msec_t ngx_zertiban_life_spread(ngx_msec_t msec);


#endif /* _NGX_ZERTIBAN_LIFE_H_INCLUDED_ */
