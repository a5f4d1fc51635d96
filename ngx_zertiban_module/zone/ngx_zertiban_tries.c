
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the token endpoint has said of each pair of a credential: which one has
 * obtained the token, and when those that were refused are tried again.
 */


#include "ngx_zertiban_tries.h"
#include "ngx_zertiban_shm.h"


/* ms, doubled each time: after a refusal, and after another failure */

#define NGX_ZERTIBAN_REFUSED_MIN  5000
#define NGX_ZERTIBAN_REFUSED_MAX  3600000

#define NGX_ZERTIBAN_FAILED_MIN   1000
#define NGX_ZERTIBAN_FAILED_MAX   30000


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

    for (rank = 0; rank < 3; rank++) {

        if (*spare && rank == 2) {
            break;
        }

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
    ngx_msec_t           min, max;
    ngx_zertiban_try_t  *try;

    i = ngx_zertiban_tries_find(tries, tag);

    if (i == tries->n) {
        return 0;
    }

    try = &tries->pairs[i];

    if (error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT) {
        min = NGX_ZERTIBAN_REFUSED_MIN;
        max = NGX_ZERTIBAN_REFUSED_MAX;

    } else {
        min = NGX_ZERTIBAN_FAILED_MIN;
        max = NGX_ZERTIBAN_FAILED_MAX;
    }

    min <<= ngx_min(try->refusals, 10);

    *delay = ngx_max(*delay, ngx_min(min, max));

    try->refusals++;
    try->retry = ngx_current_msec + *delay;

    ngx_zertiban_tries_plan(tries);

    return try->refusals;
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
