
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * How long the next attempt is put off: each byte is how an attempt fails, "r"
 * a refusal of the client.
 */


#include "fuzz_zone.h"


#define FUZZ_STEPS  11


typedef struct {
    ngx_zertiban_zone_t  *zone;
    ngx_uint_t            failures;
    ngx_uint_t            longest;        /* delays that grow no more */
    ngx_uint_t            same;           /* as the one before */
    ngx_msec_t            last;
    u_char                key[NGX_ZERTIBAN_KEY_LEN];
} fuzz_delays_t;


static void fuzz_attempt(fuzz_delays_t *delays, ngx_zertiban_error_e error);
static void fuzz_refuse(fuzz_delays_t *delays, ngx_uint_t lease,
    ngx_zertiban_error_e error);
static ngx_int_t fuzz_acquire(fuzz_delays_t *delays,
    ngx_zertiban_look_t *look);


/* ms, after one failure, two in a row, and so on */

static const ngx_msec_t  fuzz_unreachable[FUZZ_STEPS] = {
    1000, 2000, 4000, 8000, 16000, 30000,
    30000, 30000, 30000, 30000, 30000
};

static const ngx_msec_t  fuzz_rejected[FUZZ_STEPS] = {
    5000, 10000, 20000, 40000, 80000, 160000, 300000,
    300000, 300000, 300000, 300000
};

static const ngx_msec_t  fuzz_left_out[FUZZ_STEPS] = {
    5000, 10000, 20000, 40000, 80000, 160000, 320000, 640000,
    1280000, 2560000, 3600000
};


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    size_t         i;
    fuzz_delays_t  delays;

    static const ngx_zertiban_error_e  errors[] = {
        NGX_ZERTIBAN_IDP_UNREACHABLE,
        NGX_ZERTIBAN_IDP_TIMEOUT,
        NGX_ZERTIBAN_IDP_BAD_RESPONSE,
        NGX_ZERTIBAN_IDP_RATE_LIMITED
    };

    ngx_current_msec = 1000000;

    ngx_memzero(&delays, sizeof(fuzz_delays_t));

    delays.zone = fuzz_zone(pool, 8 * ngx_pagesize);

    for (i = 0; i < input->len; i++) {
        fuzz_attempt(&delays, (input->data[i] == 'r')
                              ? NGX_ZERTIBAN_IDP_REJECTED_CLIENT
                              : errors[input->data[i] % 4]);
    }

    /* they are spread */

    fuzz_check(delays.longest < 10 || delays.same < delays.longest / 2);
}


static void
fuzz_attempt(fuzz_delays_t *delays, ngx_zertiban_error_e error)
{
    ngx_uint_t              step;
    ngx_msec_t              delay;
    ngx_zertiban_look_t     look;
    ngx_zertiban_outcome_t  outcome;

    fuzz_check(fuzz_acquire(delays, &look) == NGX_AGAIN && look.lease);

    step = ngx_min(delays->failures, FUZZ_STEPS - 1);
    delays->failures++;

    fuzz_refuse(delays, look.lease, error);

    fuzz_check(ngx_zertiban_zone_fail(delays->zone, delays->key, look.lease,
                                      error, -1, &outcome)
               == NGX_OK);

    fuzz_check(outcome.failures == delays->failures);

    delay = (error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT)
            ? fuzz_rejected[step] : fuzz_unreachable[step];

    fuzz_check(outcome.delay >= 1000);
    fuzz_check(outcome.delay >= delay * 9 / 10);
    fuzz_check(outcome.delay <= delay * 11 / 10);

    if (step == FUZZ_STEPS - 1) {
        delays->longest++;
        delays->same += (outcome.delay == delays->last);
        delays->last = outcome.delay;
    }

    /* not before, and then at once */

    ngx_current_msec += outcome.delay - 1;

    fuzz_check(fuzz_acquire(delays, &look) == NGX_DECLINED);
    fuzz_check(look.error == error && look.delay == 1);

    ngx_current_msec++;
}


/* the only pair that there is, which is left out for longer */

static void
fuzz_refuse(fuzz_delays_t *delays, ngx_uint_t lease,
    ngx_zertiban_error_e error)
{
    ngx_uint_t           spare, step, refusals, order[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_msec_t           delay;
    ngx_zertiban_tags_t  tags;

    ngx_memzero(&tags, sizeof(ngx_zertiban_tags_t));

    tags.n = 1;
    tags.all = 1;
    tags.pairs[0] = 1;

    fuzz_check(ngx_zertiban_zone_begin(delays->zone, delays->key, lease, &tags,
                                       order, &spare)
               == 1);

    delay = 0;

    fuzz_check(ngx_zertiban_zone_refuse(delays->zone, delays->key, lease,
                                        tags.pairs[order[0]], error, &refusals,
                                        &delay)
               == NGX_OK);

    fuzz_check(refusals == delays->failures);

    step = ngx_min(refusals, FUZZ_STEPS) - 1;

    fuzz_check(delay == ((error == NGX_ZERTIBAN_IDP_REJECTED_CLIENT)
                         ? fuzz_left_out[step] : fuzz_unreachable[step]));
}


static ngx_int_t
fuzz_acquire(fuzz_delays_t *delays, ngx_zertiban_look_t *look)
{
    ngx_zertiban_ask_t  ask;

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    ask.timeout = 1000;
    ask.waits = 1;
    ask.fetch = 1;

    return ngx_zertiban_zone_acquire(delays->zone, delays->key, &ask, look);
}
