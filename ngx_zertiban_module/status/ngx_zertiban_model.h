
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_MODEL_H_INCLUDED_
#define _NGX_ZERTIBAN_MODEL_H_INCLUDED_


#include "ngx_zertiban_conf.h"
#include "ngx_zertiban_counters.h"
#include "ngx_zertiban_survey.h"


/* how much a credential needs somebody's attention, the most first */

typedef enum {
    NGX_ZERTIBAN_CARE_FAILING = 0,      /* no token, and no attempt yet */
    NGX_ZERTIBAN_CARE_NONE,             /* no token, and it is named */
    NGX_ZERTIBAN_CARE_DELAYED,          /* a token, and no better one, or not
                                           with the pair that is the first */
    NGX_ZERTIBAN_CARE_FETCHING,
    NGX_ZERTIBAN_CARE_WELL,
    NGX_ZERTIBAN_CARE_UNUSED            /* no token, and nobody asks for it */
} ngx_zertiban_care_e;

#define NGX_ZERTIBAN_CARES  (NGX_ZERTIBAN_CARE_UNUSED + 1)


/* a credential that is shown */

typedef struct {
    ngx_zertiban_survey_t        survey;
    ngx_zertiban_care_e          care;
    ngx_uint_t                   number;        /* in the order seen */
    ngx_queue_t                  queue;

    /* if the configuration names it */

    ngx_zertiban_credential_t   *credential;    /* or NULL */
    ngx_uint_t                   pair;          /* from 1 on, of the token, 0:
                                                   none that is known here */
    time_t                       expires;       /* that pair, or if there is
                                                   none the first one; or 0 */

    /* what is counted of it alone, if "recorded" */

    ngx_zertiban_record_t        record;
    ngx_zertiban_tally_t         tally;

    /* if this worker knows it; client.data is NULL if not */

    ngx_str_t                    client;        /* its id, or of a file the
                                                   path */
    ngx_str_t                    client_id;     /* of the pair, as above */
    ngx_str_t                    endpoint;
    ngx_str_t                    scope;

    unsigned                     recorded:1;
    unsigned                     file:1;
    unsigned                     fallback:1;    /* the pair is not the first */
} ngx_zertiban_entry_t;


/* all that can be told, of r->pool */

typedef struct {
    ngx_zertiban_main_conf_t    *zmcf;
    ngx_zertiban_zone_t         *zone;          /* NULL if nothing is gated */

    ngx_zertiban_zone_info_t     info;
    ngx_zertiban_counters_t      counters;      /* all of them */
    ngx_zertiban_ledger_t        ledger;        /* when it was last */
    ngx_zertiban_record_t        others;        /* of what has no entry */

    ngx_uint_t                   standings[NGX_ZERTIBAN_STANDINGS];
    ngx_uint_t                   total;         /* credentials */
    ngx_uint_t                   named;         /* of the configuration, */
    ngx_uint_t                   down;          /* without a token, */
    ngx_uint_t                   stale;         /* with one that cannot be
                                                   refreshed */
    ngx_msec_t                   next;          /* attempt for one of "down",
                                                   ms from now */
    ngx_uint_t                   clocks;        /* differ by s, if that is too
                                                   much */

    ngx_zertiban_entry_t       **entries;       /* in the order seen */
    ngx_uint_t                   n;

    int64_t                      now;           /* ms of this machine's clock */
    ngx_msec_t                   msec;          /* the same moment in
                                                   ngx_current_msec's time */
} ngx_zertiban_model_t;


/* puts the entries in the order seen, or those first that need attention */

void ngx_zertiban_model_order(ngx_zertiban_model_t *model);
void ngx_zertiban_model_sort(ngx_zertiban_model_t *model);

/* an entry of a credential that the configuration names, with a survey */

void ngx_zertiban_entry_name(ngx_zertiban_entry_t *e,
    ngx_zertiban_credential_t *credential);

/*
 * Finds out what this worker calls those that the configuration does not name;
 * NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_model_know(ngx_zertiban_model_t *model,
    ngx_pool_t *pool);

/* when the last token came, ms of this machine's clock, or 0 */

int64_t ngx_zertiban_entry_obtained(ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e);

/* a moment of ngx_current_msec's time on this machine's clock, ms */

#define ngx_zertiban_model_time(model, moment)                                \
    ((model)->now + (ngx_msec_int_t) ((moment) - (model)->msec))

/* ms from now to a moment, or 0 */

#define ngx_zertiban_model_left(model, moment)                                \
    (ngx_zertiban_before((model)->msec, moment)                               \
     ? (ngx_msec_t) ((moment) - (model)->msec) : 0)

/* what became of the pair "i", from 0 on, if it was refused last, or NULL */

ngx_zertiban_try_t *ngx_zertiban_entry_refused(ngx_zertiban_entry_t *e,
    ngx_uint_t i);

/* since when the secret of the entry, which is "recorded", is used */

#define ngx_zertiban_entry_loaded(model, e)                                  \
    ((e)->record.since ? (e)->record.since : (model)->zmcf->loaded)

/* how many times were counted */

ngx_uint_t ngx_zertiban_times_count(ngx_zertiban_times_t *times);

/* about the time that "percent" of them did not exceed, ms; 0: none were */

ngx_msec_t ngx_zertiban_times_quantile(ngx_zertiban_times_t *times,
    ngx_msec_t *bounds, ngx_uint_t percent);


#endif /* _NGX_ZERTIBAN_MODEL_H_INCLUDED_ */
