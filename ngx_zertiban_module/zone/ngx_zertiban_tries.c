
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the token endpoint has said of each pair of a credential: which one has
 * obtained the token, and when those that were refused are tried again.
 */


#include "ngx_zertiban_tries.h"
#include "ngx_zertiban_shm.h"


#define NGX_ZERTIBAN_REFUSED_MAX  3600000   /* ms, that a pair is left out */


static ngx_uint_t ngx_zertiban_tries_rank(ngx_zertiban_try_t *try);
static void ngx_zertiban_tries_renew(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tags_t *tags);
static ngx_uint_t ngx_zertiban_tries_find(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tag_t tag);
static void ngx_zertiban_tries_plan(ngx_zertiban_tries_t *tries);


ngx_uint_t
ngx_zertiban_tries_begin(ngx_zertiban_tries_t *tries, ngx_zertiban_tags_t *tags,
    ngx_uint_t configuration, ngx_uint_t better, ngx_uint_t *order,
    ngx_uint_t *spare)
{
    ngx_uint_t  i, n, last, rank;

    if (tries->all != tags->all) {
        ngx_zertiban_tries_renew(tries, tags);
    }

    tries->configuration = configuration;

    last = ngx_zertiban_tries_find(tries, tries->used);

    *spare = (better && last < tries->n);

    if (!*spare) {
        last = tries->n;
    }

    n = 0;

    for (rank = 0; rank < (*spare ? 2 : 3); rank++) {
        for (i = 0; i < last; i++) {
            if (ngx_zertiban_tries_rank(&tries->pairs[i]) == rank) {
                order[n++] = i;
            }
        }
    }

    ngx_zertiban_tries_plan(tries);

    return n;
}


/* one that was refused may fail in other ways, and is no better until then */

static ngx_uint_t
ngx_zertiban_tries_rank(ngx_zertiban_try_t *try)
{
    if (try->refusals == 0) {
        return 0;
    }

    return ngx_zertiban_before(ngx_current_msec, try->retry) ? 2 : 1;
}


static void
ngx_zertiban_tries_renew(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tags_t *tags)
{
    ngx_uint_t  i;

    tries->all = tags->all;
    tries->n = tags->n;

    for (i = 0; i < tags->n; i++) {
        tries->pairs[i].tag = tags->pairs[i];
        tries->pairs[i].retry = ngx_current_msec;
        tries->pairs[i].refusals = 0;
    }
}


ngx_uint_t
ngx_zertiban_tries_refuse(ngx_zertiban_tries_t *tries, ngx_zertiban_tag_t tag,
    ngx_zertiban_error_e error, ngx_msec_t *delay)
{
    ngx_uint_t           i;
    ngx_msec_t           least;
    ngx_zertiban_try_t  *try;

    i = ngx_zertiban_tries_find(tries, tag);

    if (i == tries->n) {
        return 0;
    }

    try = &tries->pairs[i];

    try->refusals++;

    least = ngx_zertiban_tries_delay(error, try->refusals,
                                     NGX_ZERTIBAN_REFUSED_MAX);

    *delay = ngx_max(*delay, least);

    try->retry = ngx_current_msec + *delay;

    ngx_zertiban_tries_plan(tries);

    return try->refusals;
}


ngx_msec_t
ngx_zertiban_tries_delay(ngx_zertiban_error_e error, ngx_uint_t failures,
    ngx_msec_t rejected_max)
{
    ngx_msec_t  delay, max;

    if (error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT) {
        delay = 5000;
        max = rejected_max;

    } else {
        delay = 1000;
        max = 30000;
    }

    return ngx_min(delay << ngx_min(failures - 1, 10), max);
}


ngx_uint_t
ngx_zertiban_tries_accept(ngx_zertiban_tries_t *tries, ngx_zertiban_tag_t tag)
{
    ngx_uint_t  i, refusals;

    tries->used = tag;

    i = ngx_zertiban_tries_find(tries, tag);
    refusals = 0;

    if (i < tries->n) {
        refusals = tries->pairs[i].refusals;

        tries->pairs[i].refusals = 0;
        tries->pairs[i].retry = ngx_current_msec;
    }

    ngx_zertiban_tries_plan(tries);

    return refusals;
}


ngx_uint_t
ngx_zertiban_tries_retry(ngx_zertiban_tries_t *tries)
{
    ngx_uint_t  i, n;

    n = ngx_zertiban_tries_find(tries, tries->used);

    if (n == tries->n) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        tries->pairs[i].retry = ngx_current_msec;
    }

    ngx_zertiban_tries_plan(tries);

    return n > 0;
}


static ngx_uint_t
ngx_zertiban_tries_find(ngx_zertiban_tries_t *tries, ngx_zertiban_tag_t tag)
{
    ngx_uint_t  i;

    for (i = 0; i < tries->n; i++) {
        if (tries->pairs[i].tag == tag) {
            break;
        }
    }

    return i;
}


/* a pair that is not known any more is the worst one */

static void
ngx_zertiban_tries_plan(ngx_zertiban_tries_t *tries)
{
    ngx_uint_t  i;

    tries->probe = 0;

    for (i = 0; i < tries->n && tries->pairs[i].tag != tries->used; i++) {

        if (tries->probe == 0
            || ngx_zertiban_before(tries->pairs[i].retry, tries->probe))
        {
            tries->probe = tries->pairs[i].retry;
        }
    }
}
