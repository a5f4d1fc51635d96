
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The shared zone: the state of every credential, for all workers.
 */


#include "ngx_zertiban_zone.h"


#define NGX_ZERTIBAN_SLACK      500     /* ms after which a lease is void */
#define NGX_ZERTIBAN_LOOK       1000    /* ms, while others are at it */
#define NGX_ZERTIBAN_LOOK_FULL  10000   /* ms, while there is no room */
#define NGX_ZERTIBAN_WANTED     500     /* ms, those who wait look more often */
#define NGX_ZERTIBAN_REJECTED   300000  /* ms between attempts, at most */


static ngx_int_t ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask,
    ngx_zertiban_look_t *look);
static ngx_int_t ngx_zertiban_zone_look_valid(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask,
    ngx_zertiban_look_t *look);
static ngx_uint_t ngx_zertiban_zone_due(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask);
static ngx_uint_t ngx_zertiban_zone_delayed(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask);
static ngx_uint_t ngx_zertiban_zone_new_pairs(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask);
static void ngx_zertiban_zone_tell(ngx_zertiban_node_t *node,
    ngx_zertiban_look_t *look);
static void ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask,
    ngx_zertiban_look_t *look);
static ngx_zertiban_mark_t ngx_zertiban_zone_mark(ngx_zertiban_node_t *node);
static void ngx_zertiban_zone_want(ngx_zertiban_node_t *node,
    ngx_uint_t lease);
static void ngx_zertiban_zone_set_pinned(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);
static ngx_zertiban_node_t *ngx_zertiban_zone_leased(ngx_zertiban_zone_t *zone,
    u_char *key, ngx_uint_t lease);
static ngx_msec_t ngx_zertiban_zone_delay(ngx_zertiban_error_e error,
    ngx_uint_t failures, time_t retry_after);


static ngx_str_t  ngx_zertiban_scheme = ngx_string(NGX_ZERTIBAN_SCHEME);


ngx_int_t
ngx_zertiban_zone_acquire(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_ask_t *ask, ngx_zertiban_look_t *look)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    look->lease = 0;
    look->orphaned = 0;
    look->tried = 0;
    look->refused = 0;
    look->next = ngx_current_msec + NGX_ZERTIBAN_LOOK;

    ngx_zertiban_shm_lock(zone);

    if (ask->fetch || ask->pinned) {
        node = ngx_zertiban_node_get(zone, key, ask->node);

    } else {

        /* what is not to be asked for takes nobody's place */

        node = ngx_zertiban_node_find(zone, key);
    }

    look->node = node;

    if (node) {
        look->ended = node->ended;

        if (ask->pinned) {
            ngx_zertiban_zone_set_pinned(zone, node);
        }

        rc = ngx_zertiban_zone_look(zone, node, ask, look);
        ngx_zertiban_zone_tell(node, look);

    } else {
        rc = (ask->fetch || ask->pinned) ? NGX_ERROR : NGX_BUSY;
    }

    ngx_zertiban_shm_unlock(zone);

    if (rc == NGX_ERROR) {
        look->next = ngx_current_msec + NGX_ZERTIBAN_LOOK_FULL;
    }

    return rc;
}


static ngx_int_t
ngx_zertiban_zone_look(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_ask_t *ask, ngx_zertiban_look_t *look)
{
    if (ngx_zertiban_node_valid(node)) {
        return ngx_zertiban_zone_look_valid(zone, node, ask, look);
    }

    /* a token that has ended takes no place either */

    ngx_zertiban_node_clear(zone, node);

    if (ngx_zertiban_node_leased(node)) {

        if (ask->waits) {
            ngx_zertiban_zone_want(node, ask->lease);
        }

        if (ngx_zertiban_before(node->deadline, look->next)) {
            look->next = node->deadline;
        }

        return NGX_AGAIN;
    }

    if (ngx_zertiban_zone_delayed(zone, node, ask)) {
        look->error = node->error;
        look->delay = node->retry - ngx_current_msec;
        look->next = node->retry;
        return NGX_DECLINED;
    }

    if (!ask->fetch) {
        return NGX_BUSY;
    }

    ngx_zertiban_zone_lease(zone, node, ask, look);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_zertiban_zone_look_valid(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask,
    ngx_zertiban_look_t *look)
{
    look->len = node->len;
    look->generation = node->generation;
    look->usable = node->usable;

    if (ask->copy) {

        if (ask->size < node->len) {
            return NGX_OK;
        }

        if (ask->generation != node->generation) {
            ngx_zertiban_node_copy(node, ask->value);
        }
    }

    if (!ngx_zertiban_zone_due(zone, node, ask)) {
        look->next = node->refresh;

        if (node->tries && node->tries->probe
            && ngx_zertiban_before(node->tries->probe, look->next))
        {
            look->next = node->tries->probe;
        }

    } else if (ngx_zertiban_zone_delayed(zone, node, ask)) {
        look->next = node->retry;

    } else if (ask->refresh && !ngx_zertiban_node_leased(node)) {
        ngx_zertiban_zone_lease(zone, node, ask, look);
    }

    return NGX_OK;
}


/* a token is replaced before its time by one of a better pair */

static ngx_uint_t
ngx_zertiban_zone_due(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_ask_t *ask)
{
    if (!ngx_zertiban_before(ngx_current_msec, node->refresh)) {
        return 1;
    }

    if (node->tries && node->tries->probe
        && !ngx_zertiban_before(ngx_current_msec, node->tries->probe))
    {
        return 1;
    }

    return ngx_zertiban_zone_new_pairs(zone, node, ask);
}


/* that others were refused does not matter for new ones */

static ngx_uint_t
ngx_zertiban_zone_delayed(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_ask_t *ask)
{
    if (!ngx_zertiban_node_delayed(node)) {
        return 0;
    }

    return node->error != NGX_ZERTIBAN_IDP_REJECTED_CLIENT
           || !ngx_zertiban_zone_new_pairs(zone, node, ask);
}


/*
 * Pairs are new if nobody has tried them since they were read: of two processes
 * that have read different ones, each might take those of the other for old.
 */

static ngx_uint_t
ngx_zertiban_zone_new_pairs(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_ask_t *ask)
{
    if (ask->tag == 0) {
        return 0;
    }

    if (node->tries == NULL) {
        return ask->changed;
    }

    return node->tries->all != ask->tag
           && (ask->changed
               || node->tries->configuration < zone->configuration);
}


static void
ngx_zertiban_zone_tell(ngx_zertiban_node_t *node, ngx_zertiban_look_t *look)
{
    if (node->tries) {
        look->tried = node->tries->all;
        look->refused = (node->tries->probe
                         || (node->failures
                             && node->error
                                == NGX_ZERTIBAN_IDP_REJECTED_CLIENT));
    }
}


/* a lease that is left over is of a process that died: no need to wait */

static void
ngx_zertiban_zone_lease(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_ask_t *ask, ngx_zertiban_look_t *look)
{
    if (node->lease == 0 && ngx_zertiban_node_spaced(node)) {
        look->next = node->started + NGX_ZERTIBAN_SPACING;
        return;
    }

    look->orphaned = (node->lease != 0);

    ngx_zertiban_node_lease(zone, node, ngx_current_msec + ask->timeout
                                        + NGX_ZERTIBAN_SLACK);

    look->lease = node->lease;
    look->mark = ngx_zertiban_zone_mark(node);
}


static ngx_zertiban_mark_t
ngx_zertiban_zone_mark(ngx_zertiban_node_t *node)
{
    if (node->mark == 0 || node->refused) {
        return node->mark;
    }

    return node->doubted ? node->mark | NGX_ZERTIBAN_MARK_DOUBT : 0;
}


/* those whose own exchange it is are known to its owner */

static void
ngx_zertiban_zone_want(ngx_zertiban_node_t *node, ngx_uint_t lease)
{
    if (node->lease != lease) {
        node->wanted = ngx_current_msec;
    }
}


void
ngx_zertiban_zone_pin(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_get(zone, key, NULL);

    if (node) {
        ngx_zertiban_zone_set_pinned(zone, node);
    }

    ngx_zertiban_shm_unlock(zone);
}


/* that of a later configuration stays */

static void
ngx_zertiban_zone_set_pinned(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node)
{
    if (node->pinned < zone->configuration) {
        node->pinned = zone->configuration;
    }
}


ngx_int_t
ngx_zertiban_zone_publish(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tag_t pair, ngx_str_t *token,
    ngx_zertiban_life_t *life, ngx_zertiban_outcome_t *outcome)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    rc = NGX_DECLINED;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_zone_leased(zone, key, lease);

    if (node) {
        rc = ngx_zertiban_node_set(zone, node, &ngx_zertiban_scheme, token);
    }

    if (rc == NGX_OK) {
        ngx_zertiban_life_begin(node, life);

        outcome->generation = node->generation;
        outcome->failures = node->failures;

        node->failures = 0;
        node->error = NGX_ZERTIBAN_OK;

        outcome->refusals = node->tries
                            ? ngx_zertiban_tries_accept(node->tries, pair) : 0;

        ngx_zertiban_node_end(zone, node);
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


/* NULL if the lease has gone to somebody else */

static ngx_zertiban_node_t *
ngx_zertiban_zone_leased(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_find(zone, key);

    return (node && node->lease == lease) ? node : NULL;
}


ngx_int_t
ngx_zertiban_zone_fail(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_error_e error, time_t retry_after,
    ngx_zertiban_outcome_t *outcome)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    rc = NGX_DECLINED;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_zone_leased(zone, key, lease);

    if (node) {
        node->failures++;
        node->error = error;

        outcome->failures = node->failures;
        outcome->delay = ngx_zertiban_zone_delay(error, node->failures,
                                                 retry_after);

        node->retry = ngx_current_msec + outcome->delay;

        ngx_zertiban_node_end(zone, node);

        rc = NGX_OK;
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


ngx_uint_t
ngx_zertiban_zone_begin(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tags_t *tags, ngx_uint_t *order,
    ngx_uint_t *spare)
{
    ngx_uint_t             n;
    ngx_zertiban_node_t   *node;
    ngx_zertiban_tries_t  *tries;

    *spare = 0;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_zone_leased(zone, key, lease);
    tries = node ? ngx_zertiban_node_tries(zone, node) : NULL;

    if (tries) {
        /* a delay is over, or is one of other pairs, and void */

        node->retry = ngx_current_msec;

        n = ngx_zertiban_tries_begin(tries, tags, zone->configuration,
                                     ngx_zertiban_node_valid(node)
                                     && ngx_zertiban_before(ngx_current_msec,
                                                            node->refresh),
                                     order, spare);

    } else {

        /* nothing can be remembered of them */

        for (n = 0; n < tags->n; n++) {
            order[n] = n;
        }
    }

    ngx_zertiban_shm_unlock(zone);

    return n;
}


ngx_int_t
ngx_zertiban_zone_refuse(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tag_t pair, ngx_zertiban_error_e error,
    ngx_uint_t *refusals, ngx_msec_t *delay)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    rc = NGX_DECLINED;
    *refusals = 0;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_zone_leased(zone, key, lease);

    if (node) {
        rc = NGX_OK;

        if (node->tries) {
            *refusals = ngx_zertiban_tries_refuse(node->tries, pair, error,
                                                  delay);
        }
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


ngx_uint_t
ngx_zertiban_zone_say(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_tag_t what)
{
    ngx_uint_t            say;
    ngx_zertiban_node_t  *node;

    say = 1;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node) {

        /* it must not go for its own tries */

        ngx_zertiban_zone_set_pinned(zone, node);

        if (ngx_zertiban_node_tries(zone, node)) {
            say = (node->tries->said != what);
            node->tries->said = what;
        }
    }

    ngx_zertiban_shm_unlock(zone);

    return say;
}


void
ngx_zertiban_zone_release(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_uint_t sent)
{
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_zone_leased(zone, key, lease);

    if (node) {

        if (!sent) {
            node->started = 0;
        }

        ngx_zertiban_node_end(zone, node);
    }

    ngx_zertiban_shm_unlock(zone);
}


ngx_int_t
ngx_zertiban_zone_drop(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation)
{
    ngx_int_t             rc;
    ngx_zertiban_node_t  *node;

    if (generation == 0) {
        return NGX_DECLINED;
    }

    rc = NGX_OK;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && node->generation == generation) {

        if (ngx_zertiban_life_young(node->obtained)) {
            rc = NGX_DECLINED;

        } else {
            node->refused = 1;
            ngx_zertiban_node_clear(zone, node);
        }
    }

    ngx_zertiban_shm_unlock(zone);

    return rc;
}


void
ngx_zertiban_zone_doubt(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation)
{
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node && generation && node->generation == generation
        && !ngx_zertiban_life_young(node->obtained)
        && ngx_zertiban_before(ngx_current_msec, node->refresh))
    {
        node->refresh = ngx_current_msec;
        node->doubted = 1;
    }

    ngx_zertiban_shm_unlock(zone);
}


ngx_uint_t
ngx_zertiban_zone_pending(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease)
{
    ngx_uint_t            pending;
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    pending = (node
               && !ngx_zertiban_node_valid(node)
               && ngx_zertiban_node_leased(node));

    if (pending) {
        ngx_zertiban_zone_want(node, lease);
    }

    ngx_zertiban_shm_unlock(zone);

    return pending;
}


ngx_uint_t
ngx_zertiban_zone_wanted(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_uint_t            wanted;
    ngx_zertiban_node_t  *node;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    wanted = (node
              && (node->pinned >= zone->pins
                  || (node->wanted
                      && ngx_zertiban_before(ngx_current_msec,
                                             node->wanted
                                             + NGX_ZERTIBAN_WANTED))));

    ngx_zertiban_shm_unlock(zone);

    return wanted;
}


static ngx_msec_t
ngx_zertiban_zone_delay(ngx_zertiban_error_e error, ngx_uint_t failures,
    time_t retry_after)
{
    ngx_msec_t  delay;

    if (retry_after >= 0) {
        return ngx_max((ngx_msec_t) retry_after * 1000, NGX_ZERTIBAN_SPACING);
    }

    delay = ngx_zertiban_tries_delay(error, failures, NGX_ZERTIBAN_REJECTED);
    delay = ngx_zertiban_life_spread(delay);

    return ngx_max(delay, NGX_ZERTIBAN_SPACING);
}
