
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The exchanges that this worker runs: how many, and what becomes of them in
 * the zone, for those who wait, and in the log.
 */


#include "ngx_zertiban_exchange.h"
#include "ngx_zertiban_notify.h"
#include "ngx_zertiban_record.h"
#include "ngx_zertiban_report.h"
#include "ngx_zertiban_waiters.h"


#define NGX_ZERTIBAN_SICK          1000    /* ms, after a local failure */
#define NGX_ZERTIBAN_FETCHING_MAX  256


static void ngx_zertiban_exchange_lack(ngx_zertiban_verdict_t *verdict);
static ngx_uint_t ngx_zertiban_exchange_begin(
    ngx_zertiban_credential_t *credential);
static ngx_int_t ngx_zertiban_exchange_attempt(
    ngx_zertiban_credential_t *credential);
static ngx_uint_t ngx_zertiban_exchange_secrets(ngx_zertiban_pairs_t *pairs,
    ngx_str_t *secrets);
static void ngx_zertiban_exchange_handler(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);
static ngx_int_t ngx_zertiban_exchange_refused(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict);
static ngx_uint_t ngx_zertiban_exchange_end(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent);
static void ngx_zertiban_exchange_publish(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent);
static void ngx_zertiban_exchange_hand(ngx_zertiban_credential_t *credential,
    ngx_str_t *token, ngx_msec_t usable, ngx_atomic_uint_t generation);
static void ngx_zertiban_exchange_fail(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_exchange_spare(
    ngx_zertiban_credential_t *credential, ngx_zertiban_verdict_t *verdict);
static ngx_int_t ngx_zertiban_exchange_leave_out(
    ngx_zertiban_credential_t *credential, ngx_zertiban_error_e error,
    ngx_uint_t *refusals, ngx_msec_t *delay);
static void ngx_zertiban_exchange_release(
    ngx_zertiban_credential_t *credential, ngx_uint_t sent);


/*
 * Exchanges without a token, which requests wait for, take connections from
 * those requests: they are a quarter at most, and a quarter of that is for what
 * the configuration names.
 */

ngx_uint_t
ngx_zertiban_exchange_crowded(ngx_zertiban_credential_t *credential)
{
    ngx_uint_t                   max;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    max = ngx_min(ngx_cycle->connection_n / 4, NGX_ZERTIBAN_FETCHING_MAX);

    if (!credential->pinned && !ngx_queue_empty(&credentials->pinned)) {
        max -= max / 4;
    }

    return credentials->fetching >= ngx_max(max, 1);
}


ngx_uint_t
ngx_zertiban_exchange_give_up(ngx_zertiban_credentials_t *credentials)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *credential;

    while (!ngx_queue_empty(&credentials->abandoned)) {

        q = ngx_queue_head(&credentials->abandoned);
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, waiting);

        ngx_zertiban_waiters_reclaim(credential);

        if (!ngx_zertiban_zone_wanted(ngx_zertiban_credential_zone(credential),
                                      credential->key))
        {
            ngx_zertiban_exchange_abort(credential, 1);
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_zertiban_exchange_sick(ngx_zertiban_credentials_t *credentials)
{
    return credentials->sick
           && ngx_zertiban_before(ngx_current_msec, credentials->sick);
}


void
ngx_zertiban_exchange_start(ngx_zertiban_credential_t *credential,
    ngx_uint_t fetching)
{
    ngx_zertiban_verdict_t       verdict;
    ngx_zertiban_credentials_t  *credentials;

    if (credential->exchange) {

        /* a worker that was stopped for longer than its lease */

        ngx_zertiban_exchange_abort(credential, 1);
    }

    credentials = ngx_zertiban_credential_set(credential);

    ngx_zertiban_credential_hold(credential);

    credential->lease = credentials->look.lease;
    credential->mark = credentials->look.mark;
    credential->begun = ngx_current_msec;

    if (credentials->look.orphaned) {
        ngx_zertiban_record_exchange(credential, NULL);
    }

    if (fetching) {
        credential->fetching = 1;
        credentials->fetching++;
    }

    if (credential->pairs && ngx_zertiban_exchange_begin(credential) == 0) {

        /* the token is of the best one already */

        ngx_zertiban_exchange_release(credential, 0);
        return;
    }

    if (ngx_zertiban_exchange_attempt(credential) == NGX_OK) {
        return;
    }

    ngx_zertiban_verdict_init(&verdict);

    ngx_zertiban_exchange_lack(&verdict);

    ngx_zertiban_exchange_handler(credential, &verdict, ngx_current_msec);
}


static void
ngx_zertiban_exchange_lack(ngx_zertiban_verdict_t *verdict)
{
    ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_BUSY,
                             "not enough memory for a token request");
}


/* returns how many pairs are to be tried */

static ngx_uint_t
ngx_zertiban_exchange_begin(ngx_zertiban_credential_t *credential)
{
    ngx_zertiban_pairs_t     *pairs;
    ngx_zertiban_attempts_t  *attempts;

    ngx_zertiban_exchange_read_pairs(credential);

    pairs = credential->pairs;
    attempts = &pairs->attempts;

    attempts->n = ngx_zertiban_zone_begin(
                                     ngx_zertiban_credential_zone(credential),
                                     credential->key, credential->lease,
                                     &pairs->list.tags, attempts->order,
                                     &attempts->spare);

    attempts->next = 0;
    attempts->why_len = 0;
    attempts->deadline = ngx_current_msec
                + ngx_zertiban_credential_source(credential)->client->timeout;

    pairs->changed = 0;

    return attempts->n;
}


void
ngx_zertiban_exchange_read_pairs(ngx_zertiban_credential_t *credential)
{
    ngx_int_t              rc;
    ngx_str_t              err;
    ngx_zertiban_pairs_t  *pairs;
    u_char                 data[NGX_ZERTIBAN_PAIRS_ERROR];

    pairs = credential->pairs;

    if (credential->exchange
        || pairs->file.len == 0
        || !ngx_zertiban_pairs_stale(pairs))
    {
        return;
    }

    err.data = data;

    rc = ngx_zertiban_pairs_read(pairs, &err);

    if (rc != NGX_OK || pairs->changed || pairs->bad) {
        ngx_zertiban_report_file(credential, rc, &err);
    }

    pairs->bad = (rc != NGX_OK);
}


/* the next pair; NGX_ERROR if there is no memory */

static ngx_int_t
ngx_zertiban_exchange_attempt(ngx_zertiban_credential_t *credential)
{
    ngx_str_t                *id, secrets[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_uint_t                n;
    ngx_msec_t                timeout;
    ngx_zertiban_pairs_t     *pairs;
    ngx_zertiban_client_t    *client;
    ngx_zertiban_source_t    *source;

    source = ngx_zertiban_credential_source(credential);
    pairs = credential->pairs;

    if (pairs) {
        pairs->attempts.next++;

        id = &pairs->list.elts[ngx_zertiban_pairs_tried(pairs)].id;
        n = ngx_zertiban_exchange_secrets(pairs, secrets);
        timeout = ngx_max((ngx_msec_int_t) (pairs->attempts.deadline
                                            - ngx_current_msec), 1);

    } else {
        id = &credential->identity.id;
        secrets[0] = credential->identity.secret;
        n = 1;
        timeout = source->client->timeout;
    }

    client = ngx_zertiban_client_create(source->client, id, secrets, n,
                                        &source->grant.scope, credential->mark,
                                        ngx_zertiban_exchange_handler,
                                        credential);

    credential->exchange = client;

    if (client == NULL) {
        return NGX_ERROR;
    }

    ngx_zertiban_client_start(client, timeout);

    return NGX_OK;
}


void
ngx_zertiban_exchange_abort(ngx_zertiban_credential_t *credential,
    ngx_uint_t sent)
{
    ngx_zertiban_client_abort(credential->exchange);
    ngx_zertiban_record_exchange(credential, NULL);
    ngx_zertiban_exchange_release(credential, sent);
}


/* that of the pair that is tried comes first */

static ngx_uint_t
ngx_zertiban_exchange_secrets(ngx_zertiban_pairs_t *pairs, ngx_str_t *secrets)
{
    ngx_uint_t  i, n, tried;

    tried = ngx_zertiban_pairs_tried(pairs);

    secrets[0] = pairs->list.elts[tried].secret;
    n = 1;

    for (i = 0; i < pairs->list.tags.n; i++) {
        if (i != tried) {
            secrets[n++] = pairs->list.elts[i].secret;
        }
    }

    return n;
}


/* of the client: without a verdict nginx closes its connections */

static void
ngx_zertiban_exchange_handler(void *data, ngx_zertiban_verdict_t *verdict,
    ngx_msec_t sent)
{
    ngx_zertiban_credential_t *credential = data;

    ngx_int_t                    rc;
    ngx_uint_t                   left;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    rc = (verdict && verdict->refused && credential->pairs)
         ? ngx_zertiban_exchange_refused(credential, verdict) : NGX_DECLINED;

    if (rc == NGX_AGAIN) {
        return;
    }

    left = (rc == NGX_DONE);

    if (verdict && rc == NGX_DECLINED) {
        left = ngx_zertiban_exchange_end(credential, verdict, sent);
    }

    ngx_zertiban_record_exchange(credential, verdict);

    ngx_zertiban_exchange_release(credential, left);

    ngx_zertiban_waiters_wake(credentials);
    ngx_zertiban_notify();

    if (verdict) {
        credentials->ended(credential);
    }
}


/*
 * Returns NGX_AGAIN if the next pair is tried, NGX_DONE if there is none and
 * the token of another one is as good as before, or the exchange is somebody
 * else's now, and NGX_DECLINED if it has failed.
 */

static ngx_int_t
ngx_zertiban_exchange_refused(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    ngx_uint_t                refusals;
    ngx_msec_t                delay;
    ngx_zertiban_pairs_t     *pairs;
    ngx_zertiban_attempts_t  *attempts;

    pairs = credential->pairs;
    attempts = &pairs->attempts;

    delay = 0;

    if (ngx_zertiban_exchange_leave_out(credential, verdict->error, &refusals,
                                        &delay)
        != NGX_OK)
    {
        return NGX_DONE;
    }

    ngx_zertiban_record_failure(credential, verdict);

    /* what is new says more than what was known */

    if (attempts->why_len == 0
        || (refusals == 1 && attempts->refusals != 1))
    {
        attempts->refused = ngx_zertiban_pairs_tried(pairs);
        attempts->refusals = refusals;
        attempts->delay = delay;
        attempts->why_len = ngx_zertiban_report_answer(verdict, attempts->why,
                                                       sizeof(attempts->why));
    }

    if (attempts->next < attempts->n) {

        if (ngx_zertiban_exchange_attempt(credential) == NGX_OK) {
            return NGX_AGAIN;
        }

        ngx_zertiban_exchange_lack(verdict);

        return NGX_DECLINED;
    }

    if (attempts->spare) {
        ngx_zertiban_report_refused(credential, NULL);
        return NGX_DONE;
    }

    return NGX_DECLINED;
}


/* returns 1 if the exchange is left without an outcome, though it was sent */

static ngx_uint_t
ngx_zertiban_exchange_end(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    if (verdict->error == NGX_ZERTIBAN_OK) {
        ngx_zertiban_exchange_publish(credential, verdict, sent);
    }

    /* set also if the token could not be used */

    if (verdict->error == NGX_ZERTIBAN_OK) {
        return 0;
    }

    if (verdict->error == NGX_ZERTIBAN_BUSY) {
        ngx_zertiban_credential_set(credential)->sick = ngx_current_msec
                                                        + NGX_ZERTIBAN_SICK;

        ngx_zertiban_report_lack(credential, &verdict->reason);
        return 0;
    }

    if (credential->pairs && credential->pairs->attempts.spare) {
        ngx_zertiban_exchange_spare(credential, verdict);
        return 1;
    }

    ngx_zertiban_exchange_fail(credential, verdict);

    return 0;
}


static void
ngx_zertiban_exchange_publish(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent)
{
    ngx_int_t               rc;
    ngx_msec_t              usable;
    ngx_zertiban_tag_t      tag;
    ngx_zertiban_life_t     life;
    ngx_zertiban_pairs_t   *pairs;
    ngx_zertiban_source_t  *source;
    ngx_zertiban_outcome_t  outcome;

    source = ngx_zertiban_credential_source(credential);

    life.sent = sent;
    life.lifetime = (ngx_msec_t) verdict->lifetime * 1000;
    life.refresh_before = source->refresh_before;
    life.mark = 0;

    if (verdict->age >= 0 && verdict->next >= 0) {
        life.age = (ngx_msec_t) verdict->age * 1000;
        life.next = (ngx_msec_t) verdict->next * 1000;
        life.mark = ngx_zertiban_identity_mark(&verdict->token);
        life.told = credential->mark;
    }

    usable = ngx_zertiban_life_usable(&life);

    if (!ngx_zertiban_before(ngx_current_msec, usable)) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the token had expired when it came");
        return;
    }

    outcome.generation = 0;

    pairs = credential->pairs;
    tag = pairs ? pairs->list.tags.pairs[ngx_zertiban_pairs_tried(pairs)] : 0;

    rc = ngx_zertiban_zone_publish(ngx_zertiban_credential_zone(credential),
                                   credential->key, credential->lease, tag,
                                   &verdict->token, &life, &outcome);

    if (rc == NGX_DECLINED) {
        return;
    }

    if (!ngx_queue_empty(&credential->waiters)) {
        ngx_zertiban_exchange_hand(credential, &verdict->token, usable,
                                   outcome.generation);
    }

    if (rc == NGX_ERROR) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_ZONE_FULL,
                                 "the zone has no room for the token, make "
                                 "\"zertiban_zone\" larger");

        return;
    }

    if (outcome.failures) {
        ngx_zertiban_report_again(credential, outcome.failures);
    }

    if (pairs) {
        ngx_zertiban_record_pair(credential, tag);
        ngx_zertiban_report_accepted(credential, outcome.refusals);
    }
}


/*
 * Those who have waited in this worker get the token, whatever becomes of it in
 * the zone.
 */

static void
ngx_zertiban_exchange_hand(ngx_zertiban_credential_t *credential,
    ngx_str_t *token, ngx_msec_t usable, ngx_atomic_uint_t generation)
{
    ngx_zertiban_copy_t         *copy;
    ngx_zertiban_credentials_t  *credentials;

    credentials = ngx_zertiban_credential_set(credential);

    if (ngx_zertiban_copy_get(&credentials->copies, &credential->copy,
                              NGX_ZERTIBAN_SCHEME_LEN + token->len)
        != NGX_OK)
    {
        /* they look in the zone */
        return;
    }

    copy = credential->copy;

    copy->generation = generation;
    copy->usable = usable;
    copy->value.len = ngx_sprintf(copy->value.data, NGX_ZERTIBAN_SCHEME "%V",
                                  token)
                      - copy->value.data;

    /* others have to look */

    credential->fresh = ngx_current_msec;
    credential->handed = 1;
}


static void
ngx_zertiban_exchange_fail(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    ngx_zertiban_outcome_t  outcome;

    if (ngx_zertiban_zone_fail(ngx_zertiban_credential_zone(credential),
                               credential->key, credential->lease,
                               verdict->error, verdict->retry_after, &outcome)
        == NGX_OK)
    {
        ngx_zertiban_record_failure(credential, verdict);
        ngx_zertiban_report_failure(credential, verdict, &outcome);
    }
}


/* a better pair than the one in use has failed, and that one does not pay */

static void
ngx_zertiban_exchange_spare(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    ngx_zertiban_outcome_t  outcome;

    outcome.delay = (verdict->retry_after > 0)
                    ? (ngx_msec_t) verdict->retry_after * 1000 : 0;

    if (ngx_zertiban_exchange_leave_out(credential, verdict->error,
                                        &outcome.failures, &outcome.delay)
        == NGX_OK)
    {
        ngx_zertiban_record_failure(credential, verdict);
        ngx_zertiban_report_failure(credential, verdict, &outcome);
    }
}


/* the pair that was tried, for a while; NGX_DECLINED: the lease has gone */

static ngx_int_t
ngx_zertiban_exchange_leave_out(ngx_zertiban_credential_t *credential,
    ngx_zertiban_error_e error, ngx_uint_t *refusals, ngx_msec_t *delay)
{
    ngx_uint_t             i;
    ngx_zertiban_pairs_t  *pairs;

    pairs = credential->pairs;
    i = ngx_zertiban_pairs_tried(pairs);

    return ngx_zertiban_zone_refuse(ngx_zertiban_credential_zone(credential),
                                    credential->key, credential->lease,
                                    pairs->list.tags.pairs[i], error, refusals,
                                    delay);
}


/* the lease has gone with the outcome, if there is one */

static void
ngx_zertiban_exchange_release(ngx_zertiban_credential_t *credential,
    ngx_uint_t sent)
{
    ngx_zertiban_zone_release(ngx_zertiban_credential_zone(credential),
                              credential->key, credential->lease, sent);

    credential->exchange = NULL;

    if (credential->fetching) {
        credential->fetching = 0;
        ngx_zertiban_credential_set(credential)->fetching--;
    }

    ngx_zertiban_waiters_reclaim(credential);

    ngx_zertiban_credential_release(credential);
}
