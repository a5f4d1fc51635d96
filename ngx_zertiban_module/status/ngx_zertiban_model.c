
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What is told of the tokens, whatever the format.
 */


#include "ngx_zertiban_model.h"


/* those used last are looked through for what they are called */

#define NGX_ZERTIBAN_MODEL_KNOWN  4096


static void ngx_zertiban_entry_identity(ngx_zertiban_entry_t *e,
    ngx_zertiban_identity_t *identity);
static void ngx_zertiban_entry_pair(ngx_zertiban_entry_t *e);
static ngx_zertiban_entry_t *ngx_zertiban_model_find(
    ngx_zertiban_model_t *model, u_char *key);
static int ngx_libc_cdecl ngx_zertiban_model_by_key(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_zertiban_model_by_number(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_zertiban_model_by_care(const void *one,
    const void *two);


void
ngx_zertiban_entry_name(ngx_zertiban_entry_t *e,
    ngx_zertiban_credential_t *credential)
{
    e->credential = credential;

    ngx_zertiban_entry_identity(e, &credential->identity);
    ngx_zertiban_entry_pair(e);
}


static void
ngx_zertiban_entry_identity(ngx_zertiban_entry_t *e,
    ngx_zertiban_identity_t *identity)
{
    e->client = identity->id;
    e->client_id = identity->id;
    e->endpoint = identity->grant->url;
    e->scope = identity->grant->scope;
    e->file = (identity->kind == NGX_ZERTIBAN_BY_FILE);
}


/* which pair has obtained the token */

static void
ngx_zertiban_entry_pair(ngx_zertiban_entry_t *e)
{
    ngx_uint_t                 i;
    ngx_zertiban_pair_t       *pair;
    ngx_zertiban_pair_list_t  *list;

    if (e->credential->pairs == NULL) {
        return;
    }

    list = &e->credential->pairs->list;

    for (i = 0; i < list->tags.n && e->survey.token; i++) {
        if (list->tags.pairs[i] == e->survey.tries.used) {
            e->pair = i + 1;
        }
    }

    /* without one, it is that of a pair that was replaced */

    e->fallback = e->survey.token
                  && (e->pair > 1
                      || (e->pair == 0 && ngx_zertiban_entry_refused(e, 0)));

    if (list->tags.n) {
        pair = &list->elts[e->pair ? e->pair - 1 : 0];

        e->client_id = pair->id;
        e->expires = pair->expires;
    }
}


ngx_zertiban_try_t *
ngx_zertiban_entry_refused(ngx_zertiban_entry_t *e, ngx_uint_t i)
{
    ngx_uint_t             n;
    ngx_zertiban_tags_t   *tags;
    ngx_zertiban_tries_t  *tries;

    tags = &e->credential->pairs->list.tags;
    tries = &e->survey.tries;

    if (i >= tags->n) {
        return NULL;
    }

    for (n = 0; n < tries->n; n++) {
        if (tries->pairs[n].tag == tags->pairs[i]
            && tries->pairs[n].refusals)
        {
            return &tries->pairs[n];
        }
    }

    return NULL;
}


ngx_int_t
ngx_zertiban_model_know(ngx_zertiban_model_t *model, ngx_pool_t *pool)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_zertiban_entry_t        *e;
    ngx_zertiban_credential_t   *credential;
    ngx_zertiban_credentials_t  *credentials;

    credentials = model->zmcf->credentials;

    ngx_qsort(model->entries, model->n, sizeof(ngx_zertiban_entry_t *),
              ngx_zertiban_model_by_key);

    i = 0;

    for (q = ngx_queue_head(&credentials->dynamic);
         q != ngx_queue_sentinel(&credentials->dynamic)
         && i++ < NGX_ZERTIBAN_MODEL_KNOWN;
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        e = ngx_zertiban_model_find(model, credential->key);

        if (e == NULL || e->client.data) {
            continue;
        }

        ngx_zertiban_entry_identity(e, &credential->identity);

        /* it may be forgotten at any time */

        e->client.data = ngx_pstrdup(pool, &e->client);
        if (e->client.data == NULL) {
            return NGX_ERROR;
        }

        e->client_id = e->client;
    }

    return NGX_OK;
}


/* the entries are in the order of their keys */

static ngx_zertiban_entry_t *
ngx_zertiban_model_find(ngx_zertiban_model_t *model, u_char *key)
{
    ngx_int_t   rc;
    ngx_uint_t  left, right, middle;

    left = 0;
    right = model->n;

    while (left < right) {

        middle = (left + right) / 2;

        rc = ngx_memcmp(key, model->entries[middle]->survey.key,
                        NGX_ZERTIBAN_KEY_LEN);

        if (rc == 0) {
            return model->entries[middle];
        }

        if (rc < 0) {
            right = middle;

        } else {
            left = middle + 1;
        }
    }

    return NULL;
}


void
ngx_zertiban_model_order(ngx_zertiban_model_t *model)
{
    ngx_qsort(model->entries, model->n, sizeof(ngx_zertiban_entry_t *),
              ngx_zertiban_model_by_number);
}


void
ngx_zertiban_model_sort(ngx_zertiban_model_t *model)
{
    ngx_qsort(model->entries, model->n, sizeof(ngx_zertiban_entry_t *),
              ngx_zertiban_model_by_care);
}


static int ngx_libc_cdecl
ngx_zertiban_model_by_key(const void *one, const void *two)
{
    ngx_zertiban_entry_t  *e1, *e2;

    e1 = *(ngx_zertiban_entry_t **) one;
    e2 = *(ngx_zertiban_entry_t **) two;

    return ngx_memcmp(e1->survey.key, e2->survey.key, NGX_ZERTIBAN_KEY_LEN);
}


static int ngx_libc_cdecl
ngx_zertiban_model_by_number(const void *one, const void *two)
{
    ngx_zertiban_entry_t  *e1, *e2;

    e1 = *(ngx_zertiban_entry_t **) one;
    e2 = *(ngx_zertiban_entry_t **) two;

    return (e1->number < e2->number) ? -1 : 1;
}


static int ngx_libc_cdecl
ngx_zertiban_model_by_care(const void *one, const void *two)
{
    ngx_zertiban_entry_t  *e1, *e2;

    e1 = *(ngx_zertiban_entry_t **) one;
    e2 = *(ngx_zertiban_entry_t **) two;

    if (e1->care != e2->care) {
        return (e1->care < e2->care) ? -1 : 1;
    }

    return (e1->number < e2->number) ? -1 : 1;
}


ngx_uint_t
ngx_zertiban_times_count(ngx_zertiban_times_t *times)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS; i++) {
        n += times->buckets[i];
    }

    return n;
}


/* as histogram_quantile() of Prometheus does it */

ngx_msec_t
ngx_zertiban_times_quantile(ngx_zertiban_times_t *times, ngx_msec_t *bounds,
    ngx_uint_t percent)
{
    ngx_uint_t  i, in, below, rank;
    ngx_msec_t  from;

    rank = ngx_zertiban_times_count(times) * percent;

    if (rank == 0) {
        return 0;
    }

    below = 0;
    from = 0;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS - 1; i++) {

        in = times->buckets[i] * 100;

        if (in && below + in >= rank) {
            return from + (bounds[i] - from) * (rank - below) / in;
        }

        below += in;
        from = bounds[i];
    }

    return from;
}


int64_t
ngx_zertiban_entry_obtained(ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e)
{
    if (e->survey.obtained) {
        return ngx_zertiban_model_time(model, e->survey.obtained);
    }

    return e->recorded ? (int64_t) e->record.obtained * 1000 : 0;
}
