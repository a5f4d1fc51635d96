
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What can be told of the tokens, in one place, before anything is written.
 */


#include "ngx_zertiban_gather.h"
#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_named.h"


/* credentials in a turn of the event loop, each with the mutex once */

#define NGX_ZERTIBAN_GATHER_STEPS  200

/* ms, longer than all turns take */

#define NGX_ZERTIBAN_GATHER_HOLD   60000

/* s, between clocks that agree, and the way of an answer */

#define NGX_ZERTIBAN_GATHER_AHEAD  60


typedef struct {
    ngx_zertiban_model_t         model;
    ngx_http_request_t          *request;
    ngx_zertiban_gather_pt       handler;
    ngx_zertiban_gather_e        what;
    ngx_uint_t                   max;

    ngx_event_t                  event;         /* to go on */
    ngx_uint_t                   seen;          /* so many were */
    ngx_uint_t                   place;         /* in zmcf->named */
    ngx_queue_t                  kept[NGX_ZERTIBAN_CARES];
    ngx_uint_t                   n;

    ngx_zertiban_entry_t         entry;         /* the last one seen */
    unsigned                     first:1;       /* of the zone is to come */
    unsigned                     post_action:1; /* as r->post_action was */
} ngx_zertiban_gathering_t;


static ngx_zertiban_gathering_t *ngx_zertiban_gather_create(
    ngx_http_request_t *r);
static void ngx_zertiban_gather_start(ngx_zertiban_gathering_t *g);
static void ngx_zertiban_gather_handler(ngx_event_t *ev);
static void ngx_zertiban_gather_later(ngx_zertiban_gathering_t *g);
static void ngx_zertiban_gather_cleanup(void *data);
static ngx_int_t ngx_zertiban_gather_steps(ngx_zertiban_gathering_t *g);
static ngx_int_t ngx_zertiban_gather_named(ngx_zertiban_gathering_t *g);
static void ngx_zertiban_gather_clock(ngx_zertiban_model_t *model,
    ngx_zertiban_record_t *record);
static void ngx_zertiban_gather_judge(ngx_zertiban_gathering_t *g);
static ngx_int_t ngx_zertiban_gather_other(ngx_zertiban_gathering_t *g);
static ngx_int_t ngx_zertiban_gather_keep(ngx_zertiban_gathering_t *g);
static ngx_zertiban_entry_t *ngx_zertiban_gather_room(
    ngx_zertiban_gathering_t *g);
static void ngx_zertiban_gather_fold(ngx_zertiban_gathering_t *g,
    ngx_zertiban_entry_t *e);
static ngx_int_t ngx_zertiban_gather_finish(ngx_zertiban_gathering_t *g);


ngx_int_t
ngx_zertiban_gather(ngx_http_request_t *r, ngx_zertiban_gather_e what,
    ngx_uint_t max, ngx_zertiban_gather_pt handler)
{
    ngx_zertiban_gathering_t  *g;

    g = ngx_zertiban_gather_create(r);
    if (g == NULL) {
        return NGX_ERROR;
    }

    g->handler = handler;
    g->what = what;
    g->max = max;

    ngx_zertiban_gather_start(g);

    r->main->count++;

    if (ngx_zertiban_gather_steps(g) == NGX_AGAIN) {

        if (ngx_zertiban_answer_watch(r) != NGX_OK) {
            r->main->count--;
            return NGX_ERROR;
        }

        ngx_zertiban_gather_later(g);

        return NGX_DONE;
    }

    if (ngx_zertiban_gather_finish(g) != NGX_OK) {
        r->main->count--;
        return NGX_ERROR;
    }

    handler(r, &g->model);

    return NGX_DONE;
}


static ngx_zertiban_gathering_t *
ngx_zertiban_gather_create(ngx_http_request_t *r)
{
    ngx_uint_t                 i;
    ngx_pool_cleanup_t        *cln;
    ngx_zertiban_gathering_t  *g;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_zertiban_gathering_t));
    if (cln == NULL) {
        return NULL;
    }

    g = cln->data;
    ngx_memzero(g, sizeof(ngx_zertiban_gathering_t));

    g->request = r;
    g->post_action = r->post_action;
    g->first = 1;

    for (i = 0; i < NGX_ZERTIBAN_CARES; i++) {
        ngx_queue_init(&g->kept[i]);
    }

    g->event.handler = ngx_zertiban_gather_handler;
    g->event.data = g;
    g->event.log = r->connection->log;

    cln->handler = ngx_zertiban_gather_cleanup;

    return g;
}


static void
ngx_zertiban_gather_start(ngx_zertiban_gathering_t *g)
{
    ngx_time_t                  *tp;
    ngx_zertiban_model_t        *model;
    ngx_zertiban_credentials_t  *credentials;

    model = &g->model;

    tp = ngx_timeofday();
    model->now = (int64_t) tp->sec * 1000 + (int64_t) tp->msec;
    model->msec = ngx_current_msec;

    model->zmcf = ngx_http_get_module_main_conf(g->request,
                                                ngx_zertiban_module);

    if (!model->zmcf->gated) {
        return;
    }

    credentials = model->zmcf->credentials;

    model->zone = credentials->shm_zone->data;
    model->ledger = model->zone->sh->ledger;
    model->others = *ngx_zertiban_counters_other(&model->zone->sh->ledger);

    ngx_zertiban_gather_clock(model, &model->others);

    ngx_zertiban_survey_zone(model->zone, &model->info);
    ngx_zertiban_counters_sum(&model->zone->sh->ledger, &model->counters);
}


static void
ngx_zertiban_gather_handler(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_zertiban_gathering_t  *g;

    g = ev->data;
    r = g->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_zertiban_gather_cleanup(g);

    if (r->post_action != g->post_action) {

        /* the client has left, and the request goes on with another one */

        return;
    }

    if (ngx_zertiban_gather_steps(g) == NGX_AGAIN) {
        ngx_zertiban_gather_later(g);
        return;
    }

    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ngx_http_block_reading;
    }

    if (ngx_zertiban_gather_finish(g) == NGX_OK) {
        g->handler(r, &g->model);

    } else {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


/* a worker that shuts down waits for timers, and for no posted event */

static void
ngx_zertiban_gather_later(ngx_zertiban_gathering_t *g)
{
    ngx_post_event(&g->event, &ngx_posted_next_events);
    ngx_add_timer(&g->event, NGX_ZERTIBAN_GATHER_HOLD);
}


static void
ngx_zertiban_gather_cleanup(void *data)
{
    ngx_zertiban_gathering_t *g = data;

    if (g->event.posted) {
        ngx_delete_posted_event(&g->event);
    }

    if (g->event.timer_set) {
        ngx_del_timer(&g->event);
    }
}


/* Returns NGX_OK if all were seen, NGX_AGAIN if there are more */

static ngx_int_t
ngx_zertiban_gather_steps(ngx_zertiban_gathering_t *g)
{
    ngx_uint_t  i;

    if (g->model.zone == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_ZERTIBAN_GATHER_STEPS; i++) {

        if (ngx_zertiban_gather_named(g) == NGX_OK) {
            continue;
        }

        if (g->what == NGX_ZERTIBAN_GATHER_NAMED
            || ngx_zertiban_gather_other(g) == NGX_DONE)
        {
            return NGX_OK;
        }
    }

    return NGX_AGAIN;
}


/* the next one that the configuration names, or NGX_DONE */

static ngx_int_t
ngx_zertiban_gather_named(ngx_zertiban_gathering_t *g)
{
    ngx_zertiban_zone_t         *zone;
    ngx_zertiban_named_t        *named;
    ngx_zertiban_entry_t        *e;
    ngx_zertiban_credential_t   *credential;

    named = &g->model.zmcf->named;

    if (g->place == named->n) {
        return NGX_DONE;
    }

    credential = named->elts[g->place++];

    zone = g->model.zone;
    e = &g->entry;

    ngx_memzero(e, sizeof(ngx_zertiban_entry_t));

    (void) ngx_zertiban_survey(zone, credential->key, &e->survey);

    ngx_zertiban_entry_name(e, credential);

    if (credential->record
        && credential->record != ngx_zertiban_counters_other(&zone->sh->ledger))
    {
        e->record = *credential->record;
        e->recorded = 1;

        ngx_zertiban_counters_sum_tally(&zone->sh->ledger, credential->record,
                                        &e->tally);
        ngx_zertiban_gather_clock(&g->model, &e->record);
    }

    ngx_zertiban_gather_judge(g);

    return ngx_zertiban_gather_keep(g);
}


static void
ngx_zertiban_gather_clock(ngx_zertiban_model_t *model,
    ngx_zertiban_record_t *record)
{
    ngx_uint_t  ahead;

    if (record->compared == 0) {
        return;
    }

    ahead = (record->ahead < 0) ? -record->ahead : record->ahead;

    if (ahead > NGX_ZERTIBAN_GATHER_AHEAD) {
        model->clocks = ngx_max(model->clocks, ahead);
    }
}


static void
ngx_zertiban_gather_judge(ngx_zertiban_gathering_t *g)
{
    ngx_msec_t              left;
    ngx_zertiban_entry_t   *e;
    ngx_zertiban_model_t   *model;
    ngx_zertiban_survey_t  *survey;

    e = &g->entry;
    model = &g->model;
    survey = &e->survey;

    model->named++;

    if (!survey->token) {
        e->care = (survey->standing == NGX_ZERTIBAN_FAILING)
                  ? NGX_ZERTIBAN_CARE_FAILING : NGX_ZERTIBAN_CARE_NONE;

        left = survey->planned ? ngx_zertiban_model_left(model, survey->next)
                               : 0;

        model->next = model->down ? ngx_min(model->next, left) : left;
        model->down++;

        return;
    }

    if (survey->standing == NGX_ZERTIBAN_DELAYED || survey->failures) {
        e->care = NGX_ZERTIBAN_CARE_DELAYED;
        model->stale++;
        return;
    }

    e->care = e->fallback ? NGX_ZERTIBAN_CARE_DELAYED
                          : NGX_ZERTIBAN_CARE_WELL;
}


/* the next one of the zone, or NGX_DONE */

static ngx_int_t
ngx_zertiban_gather_other(ngx_zertiban_gathering_t *g)
{
    u_char                  key[NGX_ZERTIBAN_KEY_LEN];
    ngx_zertiban_entry_t   *e;
    ngx_zertiban_survey_t  *survey;

    static ngx_zertiban_care_e  cares[] = {
        NGX_ZERTIBAN_CARE_UNUSED,       /* empty */
        NGX_ZERTIBAN_CARE_FETCHING,
        NGX_ZERTIBAN_CARE_WELL,         /* valid */
        NGX_ZERTIBAN_CARE_WELL,         /* refreshing */
        NGX_ZERTIBAN_CARE_DELAYED,
        NGX_ZERTIBAN_CARE_FAILING
    };

    e = &g->entry;
    survey = &e->survey;

    ngx_memcpy(key, survey->key, NGX_ZERTIBAN_KEY_LEN);
    ngx_memzero(e, sizeof(ngx_zertiban_entry_t));
    ngx_memcpy(survey->key, key, NGX_ZERTIBAN_KEY_LEN);

    if (ngx_zertiban_survey_next(g->model.zone, g->first, survey)
        == NGX_DONE)
    {
        return NGX_DONE;
    }

    g->first = 0;

    if (ngx_zertiban_named_find(&g->model.zmcf->named, survey->key)) {
        return NGX_OK;
    }

    e->care = cares[survey->standing];

    return ngx_zertiban_gather_keep(g);
}


/* counts it, and shows it if it may, and what is more important does not */

static ngx_int_t
ngx_zertiban_gather_keep(ngx_zertiban_gathering_t *g)
{
    ngx_zertiban_entry_t  *e, *seen;

    seen = &g->entry;
    seen->number = g->seen++;

    g->model.standings[seen->survey.standing]++;
    g->model.total++;

    if (seen->credential == NULL && g->what != NGX_ZERTIBAN_GATHER_ALL) {
        return NGX_OK;
    }

    e = ngx_zertiban_gather_room(g);

    if (e == NULL) {
        ngx_zertiban_gather_fold(g, seen);
        return NGX_OK;
    }

    *e = *seen;

    ngx_queue_insert_tail(&g->kept[e->care], &e->queue);

    return NGX_OK;
}


static ngx_zertiban_entry_t *
ngx_zertiban_gather_room(ngx_zertiban_gathering_t *g)
{
    ngx_uint_t             i;
    ngx_queue_t           *q;
    ngx_zertiban_entry_t  *e;

    if (g->n < g->max) {
        g->n++;
        return ngx_palloc(g->request->pool, sizeof(ngx_zertiban_entry_t));
    }

    if (g->what == NGX_ZERTIBAN_GATHER_COUNTS) {

        /* numbers of all others would fall whenever one is shown instead */

        return NULL;
    }

    for (i = NGX_ZERTIBAN_CARES - 1; i > g->entry.care; i--) {

        if (ngx_queue_empty(&g->kept[i])) {
            continue;
        }

        q = ngx_queue_last(&g->kept[i]);
        ngx_queue_remove(q);

        e = ngx_queue_data(q, ngx_zertiban_entry_t, queue);

        ngx_zertiban_gather_fold(g, e);

        return e;
    }

    return NULL;
}


/* what is not shown by itself is with the others */

static void
ngx_zertiban_gather_fold(ngx_zertiban_gathering_t *g, ngx_zertiban_entry_t *e)
{
    ngx_uint_t              i;
    ngx_zertiban_record_t  *others;

    if (!e->recorded) {
        return;
    }

    others = &g->model.others;

    for (i = 0; i < NGX_ZERTIBAN_ERRORS; i++) {
        others->exchanges[i] += e->record.exchanges[i];
    }

    others->abandoned += e->record.abandoned;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS; i++) {
        others->times.buckets[i] += e->record.times.buckets[i];
    }

    others->times.sum += e->record.times.sum;
}


static ngx_int_t
ngx_zertiban_gather_finish(ngx_zertiban_gathering_t *g)
{
    ngx_uint_t             i;
    ngx_queue_t           *q;
    ngx_zertiban_model_t  *model;

    model = &g->model;

    model->entries = ngx_palloc(g->request->pool,
                                (g->n + 1) * sizeof(ngx_zertiban_entry_t *));
    if (model->entries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_ZERTIBAN_CARES; i++) {

        for (q = ngx_queue_head(&g->kept[i]);
             q != ngx_queue_sentinel(&g->kept[i]);
             q = ngx_queue_next(q))
        {
            model->entries[model->n++] = ngx_queue_data(q,
                                                 ngx_zertiban_entry_t, queue);
        }
    }

    if (g->what == NGX_ZERTIBAN_GATHER_ALL && model->n
        && ngx_zertiban_model_know(model, g->request->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_zertiban_model_order(model);

    return NGX_OK;
}
