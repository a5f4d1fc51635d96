
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The life of a token: from when on it is refreshed, and how long it is used.
 */


#include "ngx_zertiban_life.h"


#define NGX_ZERTIBAN_MARGIN     2000    /* ms before expiry, not used */
#define NGX_ZERTIBAN_YOUNG      10000   /* ms, a token is not dropped, nor is
                                           another one asked for by hand */
#define NGX_ZERTIBAN_AFTER      1000    /* ms, behind another gateway's
                                           refresh */


static ngx_msec_t ngx_zertiban_life_refresh(ngx_zertiban_life_t *life);


void
ngx_zertiban_life_begin(ngx_zertiban_node_t *node, ngx_zertiban_life_t *life)
{
    node->obtained = ngx_current_msec;

    /* one that was told of is as new, or asking for it would never end */

    if (life->mark && life->mark != life->told) {
        node->obtained -= life->age;
    }

    node->mark = life->mark;
    node->refused = 0;
    node->doubted = 0;

    node->usable = ngx_zertiban_life_usable(life);
    node->refresh = ngx_zertiban_life_refresh(life);

    /* a token that is not usable is due */

    if (ngx_zertiban_before(node->usable, node->refresh)) {
        node->refresh = node->usable;
    }
}


static ngx_msec_t
ngx_zertiban_life_refresh(ngx_zertiban_life_t *life)
{
    ngx_msec_t  before;

    if (life->mark) {

        /* the old one may be void as soon as there is another one */

        return life->sent + life->next + NGX_ZERTIBAN_AFTER
               + (ngx_msec_t) ngx_random() % NGX_ZERTIBAN_AFTER;
    }

    /* with the spread it is no more than half of the lifetime */

    before = ngx_min(life->refresh_before, life->lifetime * 5 / 11);

    return life->sent + life->lifetime - ngx_zertiban_life_spread(before);
}


ngx_msec_t
ngx_zertiban_life_usable(ngx_zertiban_life_t *life)
{
    return life->sent + life->lifetime
           - ngx_min(life->lifetime / 10, NGX_ZERTIBAN_MARGIN);
}


/* a token that was obtained just now is not what the API objects to */

ngx_msec_t
ngx_zertiban_life_young(ngx_msec_t since)
{
    ngx_msec_t  until;

    until = since + NGX_ZERTIBAN_YOUNG;

    return ngx_zertiban_before(ngx_current_msec, until)
           ? until - ngx_current_msec : 0;
}


ngx_msec_t
ngx_zertiban_life_spread(ngx_msec_t msec)
{
    return msec - msec / 10 + (ngx_msec_t) ngx_random() % (msec / 5 + 1);
}
