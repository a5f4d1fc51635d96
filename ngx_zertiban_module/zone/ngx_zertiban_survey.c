
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What people are told of the zone: a look at one credential at a time, which
 * changes nothing, and why an exchange has failed.
 */


#include "ngx_zertiban_survey.h"


static ngx_zertiban_node_t *ngx_zertiban_survey_behind(
    ngx_zertiban_zone_t *zone, u_char *key);
static void ngx_zertiban_survey_node(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_survey_t *survey);
static ngx_zertiban_standing_e ngx_zertiban_survey_standing(
    ngx_zertiban_node_t *node, ngx_zertiban_survey_t *survey);
static ngx_zertiban_trouble_t *ngx_zertiban_survey_trouble(
    ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node);


ngx_int_t
ngx_zertiban_survey(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_survey_t *survey)
{
    ngx_zertiban_node_t  *node;

    ngx_memzero(survey, sizeof(ngx_zertiban_survey_t));
    ngx_memcpy(survey->key, key, NGX_ZERTIBAN_KEY_LEN);

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);

    if (node) {
        ngx_zertiban_survey_node(zone, node, survey);
    }

    ngx_zertiban_shm_unlock(zone);

    return node ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_zertiban_survey_next(ngx_zertiban_zone_t *zone, ngx_uint_t first,
    ngx_zertiban_survey_t *survey)
{
    u_char                key[NGX_ZERTIBAN_KEY_LEN];
    ngx_zertiban_node_t  *node;

    ngx_memcpy(key, survey->key, NGX_ZERTIBAN_KEY_LEN);
    ngx_memzero(survey, sizeof(ngx_zertiban_survey_t));

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_survey_behind(zone, first ? NULL : key);

    if (node) {
        ngx_zertiban_survey_node(zone, node, survey);
    }

    ngx_zertiban_shm_unlock(zone);

    return node ? NGX_OK : NGX_DONE;
}


/* the next one in the order of ngx_str_rbtree_insert_value() */

static ngx_zertiban_node_t *
ngx_zertiban_survey_behind(ngx_zertiban_zone_t *zone, u_char *key)
{
    uint32_t              hash;
    ngx_rbtree_node_t    *rbnode, *sentinel;
    ngx_zertiban_node_t  *node, *found;

    hash = key ? ngx_zertiban_node_hash(key) : 0;

    rbnode = zone->sh->rbtree.root;
    sentinel = zone->sh->rbtree.sentinel;

    found = NULL;

    while (rbnode != sentinel) {

        node = (ngx_zertiban_node_t *) rbnode;

        if (key == NULL
            || rbnode->key > hash
            || (rbnode->key == hash
                && ngx_memcmp(node->key, key, NGX_ZERTIBAN_KEY_LEN) > 0))
        {
            found = node;
            rbnode = rbnode->left;

        } else {
            rbnode = rbnode->right;
        }
    }

    return found;
}


static void
ngx_zertiban_survey_node(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_survey_t *survey)
{
    ngx_memcpy(survey->key, node->key, NGX_ZERTIBAN_KEY_LEN);

    survey->token = ngx_zertiban_node_valid(node) ? 1 : 0;
    survey->obtained = node->obtained;
    survey->usable = node->usable;

    survey->failures = node->failures;
    survey->error = node->error;
    survey->named = (node->pinned >= zone->configuration);

    if (node->trouble) {
        survey->trouble = *node->trouble;
    }

    if (node->tries) {
        survey->tries = *node->tries;
    }

    survey->standing = ngx_zertiban_survey_standing(node, survey);
}


static ngx_zertiban_standing_e
ngx_zertiban_survey_standing(ngx_zertiban_node_t *node,
    ngx_zertiban_survey_t *survey)
{
    if (ngx_zertiban_node_leased(node)) {
        return survey->token ? NGX_ZERTIBAN_REFRESHING : NGX_ZERTIBAN_FETCHING;
    }

    /* a delay is for what is due only */

    if (ngx_zertiban_node_delayed(node)
        && (!survey->token
            || !ngx_zertiban_before(ngx_current_msec, node->refresh)))
    {
        survey->planned = 1;
        survey->next = node->retry;

        return survey->token ? NGX_ZERTIBAN_DELAYED : NGX_ZERTIBAN_FAILING;
    }

    if (!survey->token) {
        return NGX_ZERTIBAN_EMPTY;
    }

    survey->planned = 1;
    survey->next = node->refresh;

    if (node->tries && node->tries->probe
        && ngx_zertiban_before(node->tries->probe, survey->next))
    {
        survey->next = node->tries->probe;
    }

    return NGX_ZERTIBAN_VALID;
}


void
ngx_zertiban_survey_zone(ngx_zertiban_zone_t *zone,
    ngx_zertiban_zone_info_t *info)
{
    ngx_zertiban_shm_t  *sh;

    ngx_zertiban_shm_lock(zone);

    sh = zone->sh;

    info->size = zone->shpool->end - (u_char *) zone->shpool;
    info->free = zone->shpool->pfree * ngx_pagesize;
    info->used = info->size - (sh->pieces - sh->taken) * NGX_ZERTIBAN_PIECE;
    info->nodes = sh->nodes;
    info->evictions = sh->evictions;
    info->resets = sh->resets;
    info->start = sh->start;

    ngx_zertiban_shm_unlock(zone);
}


void
ngx_zertiban_survey_failed(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_error_e error, ngx_uint_t status, ngx_str_t *text)
{
    ngx_zertiban_node_t     *node;
    ngx_zertiban_trouble_t  *trouble;

    ngx_zertiban_shm_lock(zone);

    node = ngx_zertiban_node_find(zone, key);
    trouble = node ? ngx_zertiban_survey_trouble(zone, node) : NULL;

    if (trouble) {
        trouble->time = ngx_time();
        trouble->error = error;
        trouble->status = status;
        trouble->number++;
        trouble->len = ngx_min(text->len, NGX_ZERTIBAN_TROUBLE_MAX);

        ngx_memcpy(trouble->text, text->data, trouble->len);
    }

    ngx_zertiban_shm_unlock(zone);
}


/* nothing goes for it, and what is not named does not take the last pieces */

static ngx_zertiban_trouble_t *
ngx_zertiban_survey_trouble(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node)
{
    ngx_zertiban_shm_t  *sh;

    sh = zone->sh;

    if (node->trouble == NULL
        && (node->pinned >= zone->pins
            || sh->taken + NGX_ZERTIBAN_RESERVE(sh) < sh->pieces))
    {
        node->trouble = ngx_zertiban_shm_alloc(zone);
    }

    return node->trouble;
}
