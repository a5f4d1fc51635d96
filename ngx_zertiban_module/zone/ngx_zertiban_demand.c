
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A token that is replaced before its time, because somebody says so.
 */


#include "ngx_zertiban_demand.h"
#include "ngx_zertiban_life.h"


static ngx_int_t ngx_zertiban_demand_look(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand);
static ngx_uint_t ngx_zertiban_demand_told(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand);
static void ngx_zertiban_demand_see(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand);
static ngx_uint_t ngx_zertiban_demand_early(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand);
static void ngx_zertiban_demand_due(ngx_zertiban_node_t *node);


ngx_int_t
ngx_zertiban_demand(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_demand_t *demand)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    demand->renewed = 0;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    rc = node ? ngx_zertiban_demand_look(node, demand) : NGX_OK;

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


static ngx_int_t
ngx_zertiban_demand_look(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand)
{
    demand->renewed = (demand->tags && node->tries
                       && node->tries->all != demand->tags->all);

    if (demand->seen && node->ended != demand->ended
        && !demand->renewed
        && ngx_zertiban_demand_told(node, demand))
    {
        return NGX_DONE;
    }

    if (!demand->seen || node->ended != demand->ended) {
        ngx_zertiban_demand_see(node, demand);
    }

    if (ngx_zertiban_node_leased(node)) {
        return NGX_AGAIN;
    }

    /* new pairs are tried in spite of a refusal */

    if (ngx_zertiban_node_delayed(node)
        && !(demand->renewed
             && node->error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT))
    {
        demand->error = node->error;
        demand->delay = node->retry - ngx_current_msec;
        return NGX_DECLINED;
    }

    if (!ngx_zertiban_node_valid(node) || demand->renewed) {
        return NGX_OK;
    }

    if (ngx_zertiban_demand_early(node, demand)) {
        return demand->error ? NGX_DECLINED : NGX_DONE;
    }

    ngx_zertiban_demand_due(node);

    return NGX_OK;
}


/* an exchange may end without an outcome: its owner has shut down, for one */

static ngx_uint_t
ngx_zertiban_demand_told(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand)
{
    if (node->generation && node->generation != demand->generation) {
        demand->error = NGX_ZERTIBAN_OK;
        return 1;
    }

    if (node->trouble && node->trouble->number != demand->troubles) {
        demand->error = node->trouble->error;
        return 1;
    }

    return 0;
}


static void
ngx_zertiban_demand_see(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand)
{
    demand->generation = node->generation;
    demand->ended = node->ended;
    demand->troubles = node->trouble ? node->trouble->number : 0;
    demand->seen = 1;
}


/* whether it is too early to ask for another token than the present one */

static ngx_uint_t
ngx_zertiban_demand_early(ngx_zertiban_node_t *node,
    ngx_zertiban_demand_t *demand)
{
    ngx_msec_t  young, delay;

    young = ngx_zertiban_life_young(node->obtained);
    delay = node->started ? ngx_zertiban_life_young(node->started) : 0;

    if (delay && node->trouble && node->tries && node->tries->probe) {

        /* there are better pairs than the one in use, and they were tried */

        demand->error = node->trouble->error;
        demand->delay = delay;
        return 1;
    }

    demand->error = NGX_ZERTIBAN_OK;

    return young || delay;
}


static void
ngx_zertiban_demand_due(ngx_zertiban_node_t *node)
{
    if (node->tries && ngx_zertiban_tries_retry(node->tries)) {
        return;
    }

    if (ngx_zertiban_before(ngx_current_msec, node->refresh)) {
        node->refresh = ngx_current_msec;
    }
}
