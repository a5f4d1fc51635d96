
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The shared zone: each byte is something that a worker does with one of some
 * credentials, or a while that passes.  Whatever was done, the zone's counts
 * are those of a walk, and what must not go is there.
 */


#include "fuzz_zone.h"

#include "ngx_zertiban_demand.h"
#include "ngx_zertiban_survey.h"


#define FUZZ_KEYS     48
#define FUZZ_NAMED    12                  /* of these have pairs */
#define FUZZ_TIMEOUT  1000
#define FUZZ_DEAD     0x3fffffff          /* no process has this number */


typedef struct {
    u_char               key[NGX_ZERTIBAN_KEY_LEN];
    ngx_uint_t           lease;           /* in flight, or 0 */
    ngx_msec_t           deadline;
    ngx_uint_t           dead;            /* its owner */
    ngx_uint_t           pinned;
    ngx_atomic_uint_t    generation;      /* of the last token */
    ngx_msec_t           usable;
    ngx_str_t            token;
    ngx_zertiban_tags_t  tags;
    ngx_zertiban_tag_t   used;            /* of the token */
    ngx_uint_t           order[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_uint_t           norder;          /* to be tried */
    ngx_uint_t           tried;
} fuzz_credential_t;


typedef struct {
    ngx_zertiban_zone_t  *zone;
    ngx_pool_t           *pool;
    ngx_uint_t            tokens;         /* in the zone */
    ngx_uint_t            held;
    fuzz_credential_t     credentials[FUZZ_KEYS];
    u_char                copy[NGX_ZERTIBAN_SCHEME_LEN + 16384];
} fuzz_zone_t;


static void fuzz_create(ngx_pool_t *pool, fuzz_zone_t *fz, size_t size);
static void fuzz_acquire(fuzz_zone_t *fz, fuzz_credential_t *c,
    ngx_uint_t how);
static void fuzz_begin(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how);
static ngx_uint_t fuzz_rank(ngx_zertiban_node_t *node, ngx_uint_t place);
static void fuzz_publish(fuzz_zone_t *fz, fuzz_credential_t *c,
    ngx_uint_t how);
static void fuzz_end(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how);
static void fuzz_demand(fuzz_zone_t *fz, fuzz_credential_t *c,
    ngx_uint_t how);
static void fuzz_survey(fuzz_zone_t *fz);
static void fuzz_walk(fuzz_zone_t *fz);
static ngx_uint_t fuzz_pieces(size_t len);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    u_char              *p, *last;
    ngx_uint_t           how;
    fuzz_zone_t         *fz;
    fuzz_credential_t   *c;

    if (input->len < 2) {
        return;
    }

    fz = ngx_pcalloc(pool, sizeof(fuzz_zone_t));
    fuzz_check(fz != NULL);

    p = input->data;
    last = p + input->len;

    ngx_current_msec = 1000000;

    fuzz_create(pool, fz, (8 + *p++ % 16) * ngx_pagesize);

    while (last - p >= 2) {

        c = &fz->credentials[p[0] % FUZZ_KEYS];
        how = p[1] >> 3;

        switch (p[1] & 7) {

        case 0:
        case 1:
            fuzz_acquire(fz, c, how);
            break;

        case 2:
        case 3:
            fuzz_publish(fz, c, how);
            break;

        case 4:
            fuzz_end(fz, c, how);
            break;

        case 5:
            if (how & 1) {
                fuzz_demand(fz, c, how);
                break;
            }

            (void) ngx_zertiban_zone_drop(fz->zone, c->key, c->generation);
            break;

        case 6:
            if (how == 30) {
                fuzz_survey(fz);
                break;
            }

            if (how & 1) {
                (void) ngx_zertiban_zone_say(fz->zone, c->key, 1 + how);

            } else {
                ngx_zertiban_zone_pin(fz->zone, c->key);
            }

            c->pinned = (ngx_zertiban_node_find(fz->zone, c->key) != NULL);
            break;

        default:
            ngx_current_msec += 1 + how * how * 40;
        }

        fuzz_walk(fz);

        p += 2;
    }
}


static void
fuzz_create(ngx_pool_t *pool, fuzz_zone_t *fz, size_t size)
{
    ngx_uint_t  i, n;

    fz->zone = fuzz_zone(pool, size);
    fz->pool = pool;

    for (i = 0; i < FUZZ_KEYS; i++) {
        for (n = 0; n < NGX_ZERTIBAN_KEY_LEN; n++) {
            fz->credentials[i].key[n] = (u_char) (0x80 + i * 7 + n * 31);
        }
    }

    fuzz_check(sizeof(ngx_zertiban_node_t) <= NGX_ZERTIBAN_PIECE);
    fuzz_check(sizeof(ngx_zertiban_tries_t) <= NGX_ZERTIBAN_PIECE);
    fuzz_check(sizeof(ngx_zertiban_trouble_t) <= NGX_ZERTIBAN_PIECE);

    fuzz_walk(fz);
}


static void
fuzz_acquire(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how)
{
    ngx_int_t              rc;
    ngx_uint_t             tokens, reserve, fetching, over;
    ngx_zertiban_ask_t     ask;
    ngx_zertiban_shm_t    *sh;
    ngx_zertiban_look_t    look;
    ngx_zertiban_node_t   *node;

    ngx_memzero(&ask, sizeof(ngx_zertiban_ask_t));

    ask.timeout = FUZZ_TIMEOUT;
    ask.value = fz->copy;
    ask.size = sizeof(fz->copy);
    ask.copy = 1;
    ask.waits = 1;
    ask.refresh = 1;
    ask.fetch = (how & 1) ? 0 : 1;
    ask.tag = c->tags.all;
    ask.changed = (how >> 2) & 1;

    sh = fz->zone->sh;
    tokens = fz->tokens;
    reserve = sh->pieces / 8;
    fetching = sh->fetching;
    over = (sh->held > sh->pieces - reserve);

    node = ngx_zertiban_node_find(fz->zone, c->key);

    if (node && node->value && !ngx_zertiban_node_valid(node)) {

        /* its own has ended */

        tokens--;
    }

    if (how & 2) {

        /* a worker that will be killed; no other one can see it alive */

        ngx_pid = FUZZ_DEAD;
    }

    rc = ngx_zertiban_zone_acquire(fz->zone, c->key, &ask, &look);

    ngx_pid = ngx_getpid();

    if (rc == NGX_ERROR) {
        return;
    }

    if (rc == NGX_OK) {
        fuzz_check(look.generation == c->generation);
        fuzz_check(ngx_zertiban_before(ngx_current_msec, c->usable));
        fuzz_check(look.len == NGX_ZERTIBAN_SCHEME_LEN + c->token.len);
        fuzz_check(ngx_memcmp(fz->copy, NGX_ZERTIBAN_SCHEME,
                              NGX_ZERTIBAN_SCHEME_LEN)
                   == 0);
        fuzz_check(ngx_memcmp(fz->copy + NGX_ZERTIBAN_SCHEME_LEN,
                              c->token.data, c->token.len)
                   == 0);
    }

    if (look.lease) {

        /* one exchange at a time */

        fuzz_check(c->lease == 0 || c->dead
                   || !ngx_zertiban_before(ngx_current_msec, c->deadline));

        c->lease = look.lease;
        c->deadline = ngx_current_msec + FUZZ_TIMEOUT;
        c->dead = (how & 2);

        if (c - fz->credentials < FUZZ_NAMED) {
            fuzz_begin(fz, c, how);
        }
    }

    fuzz_walk(fz);

    /* those who have no token do not take the places of others that do */

    fuzz_check(fz->tokens >= tokens || over || fetching < reserve);
    fuzz_check(fz->tokens + 1 >= tokens);
}


/* all of its pairs are tried, or those that are better than the token's */

static void
fuzz_begin(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how)
{
    ngx_uint_t            i, n, place, better, spare, rank, last;
    ngx_uint_t            seen[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_zertiban_node_t  *node;

    if (how & 4) {
        c->tags.n = 1 + how % NGX_ZERTIBAN_PAIRS_MAX;
        c->tags.all = 1 + how;

        for (i = 0; i < c->tags.n; i++) {
            c->tags.pairs[i] = 1 + (how + i) % 11;
        }
    }

    if (c->tags.n == 0) {
        c->tags.n = 1;
        c->tags.all = 1;
        c->tags.pairs[0] = 1;
    }

    c->tried = 0;
    c->norder = ngx_zertiban_zone_begin(fz->zone, c->key, c->lease, &c->tags,
                                        c->order, &spare);

    better = c->tags.n;

    for (i = 0; spare && i < c->tags.n; i++) {
        if (c->tags.pairs[i] == c->used) {
            better = i;
            break;
        }
    }

    ngx_memzero(seen, sizeof(seen));

    node = ngx_zertiban_node_find(fz->zone, c->key);
    last = 0;

    for (n = 0; n < c->norder; n++) {
        place = c->order[n];

        fuzz_check(place < better && !seen[place]++);

        /* those that were never refused come first, and then by time */

        rank = fuzz_rank(node, place);

        fuzz_check(rank >= last);

        last = rank;
    }

    if (spare) {
        fuzz_check(better < c->tags.n);
        fuzz_check(c->generation
                   && ngx_zertiban_before(ngx_current_msec, c->usable));

    } else {
        fuzz_check(c->norder == c->tags.n);
    }

    if (c->norder == 0) {
        ngx_zertiban_zone_release(fz->zone, c->key, c->lease, 0);
        c->lease = 0;
    }
}


static ngx_uint_t
fuzz_rank(ngx_zertiban_node_t *node, ngx_uint_t place)
{
    ngx_zertiban_try_t  *try;

    if (node == NULL || node->tries == NULL) {
        return 0;
    }

    try = &node->tries->pairs[place];

    return (try->refusals != 0)
           + (try->refusals && ngx_zertiban_before(ngx_current_msec,
                                                   try->retry));
}


static void
fuzz_publish(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how)
{
    size_t                  len;
    ngx_int_t               rc;
    ngx_str_t               token;
    ngx_uint_t              held, need, tokens;
    ngx_zertiban_tag_t      pair;
    ngx_zertiban_life_t     life;
    ngx_zertiban_node_t    *node;
    ngx_zertiban_outcome_t  outcome;

    /* most are of one size */

    len = (how & 3) ? 1200 : 1 + (how * how * 17) % 16384;

    token.len = len;
    token.data = ngx_pnalloc(fz->pool, len);
    fuzz_check(token.data != NULL);

    ngx_memset(token.data, 'a' + (int) (how % 26), len);

    life.sent = ngx_current_msec;
    life.lifetime = 1000 + how * 4000;
    life.refresh_before = 60000;
    life.age = how * 1000;
    life.next = how * 500;
    life.mark = (how & 8) ? how : 0;
    life.told = (how & 4) ? how : 0;

    if (c->lease == 0) {
        return;
    }

    node = ngx_zertiban_node_find(fz->zone, c->key);
    held = fz->held;
    tokens = fz->tokens;

    need = fuzz_pieces(NGX_ZERTIBAN_SCHEME_LEN + len) + 1;

    if (node && node->value) {
        held -= fuzz_pieces(node->len) + 1;
    }

    pair = c->norder ? c->tags.pairs[c->order[c->tried]] : 0;

    rc = ngx_zertiban_zone_publish(fz->zone, c->key, c->lease, pair, &token,
                                   &life, &outcome);

    if (rc == NGX_ERROR) {
        fuzz_walk(fz);

        /* nothing went in vain */

        fuzz_check(fz->tokens == tokens);
    }

    if (rc == NGX_OK) {
        c->token = token;
        c->generation = outcome.generation;
        c->used = pair;
        c->usable = ngx_zertiban_life_usable(&life);
        c->lease = 0;

        fuzz_walk(fz);

        /* others have lost about as much, and one token may be a long one */

        fuzz_check(fz->held + fuzz_pieces(16391) + 1 >= held);
        fuzz_check(fz->held >= need);
    }
}


static void
fuzz_end(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how)
{
    ngx_msec_t              delay;
    ngx_uint_t              refusals;
    ngx_zertiban_outcome_t  outcome;

    static ngx_str_t  text = ngx_string("it has failed");

    if (c->lease == 0) {
        return;
    }

    delay = 0;

    if (c->norder > c->tried) {
        (void) ngx_zertiban_zone_refuse(fz->zone, c->key, c->lease,
                                        c->tags.pairs[c->order[c->tried]],
                                        (how & 4)
                                        ? NGX_ZERTIBAN_IDP_REJECTED_CLIENT
                                        : NGX_ZERTIBAN_IDP_UNREACHABLE,
                                        &refusals, &delay);
        fuzz_check(delay <= 3600000);

        if (c->tried + 1 < c->norder) {
            c->tried++;
            return;
        }
    }

    if (how & 1) {
        (void) ngx_zertiban_zone_fail(fz->zone, c->key, c->lease,
                                      NGX_ZERTIBAN_IDP_UNREACHABLE, -1,
                                      &outcome);

        ngx_zertiban_survey_failed(fz->zone, c->key,
                                   NGX_ZERTIBAN_IDP_UNREACHABLE, 0,
                                   &text);

    } else {
        ngx_zertiban_zone_release(fz->zone, c->key, c->lease, how & 2);
    }

    c->lease = 0;
}


/* what is demanded is due, or there is a reason that it is not */

static void
fuzz_demand(fuzz_zone_t *fz, fuzz_credential_t *c, ngx_uint_t how)
{
    ngx_int_t               rc;
    ngx_uint_t              valid;
    ngx_zertiban_node_t    *node;
    ngx_zertiban_demand_t   demand;

    ngx_memzero(&demand, sizeof(ngx_zertiban_demand_t));

    demand.tags = (c->tags.n && (how & 2)) ? &c->tags : NULL;

    rc = ngx_zertiban_demand(fz->zone, c->key, &demand);

    node = ngx_zertiban_node_find(fz->zone, c->key);

    if (node == NULL) {
        fuzz_check(rc == NGX_OK);
        return;
    }

    valid = ngx_zertiban_node_valid(node);

    fuzz_check((rc == NGX_AGAIN) == ngx_zertiban_node_leased(node));

    switch (rc) {

    case NGX_OK:
        fuzz_check(!valid
                   || demand.renewed
                   || !ngx_zertiban_before(ngx_current_msec, node->refresh)
                   || (node->tries->probe
                       && !ngx_zertiban_before(ngx_current_msec,
                                               node->tries->probe)));
        break;

    case NGX_DECLINED:
        fuzz_check(demand.error != NGX_ZERTIBAN_OK && demand.delay > 0);
        break;

    case NGX_DONE:
        fuzz_check(valid && demand.error == NGX_ZERTIBAN_OK);
        break;
    }
}


/* all that is there, each once, and what is told of it is what it is */

static void
fuzz_survey(fuzz_zone_t *fz)
{
    ngx_uint_t                n, tokens;
    ngx_zertiban_node_t      *node;
    ngx_zertiban_survey_t     survey;
    ngx_zertiban_zone_info_t  info;

    ngx_zertiban_survey_zone(fz->zone, &info);

    fuzz_check(info.used <= info.size && info.free <= info.size);

    n = 0;
    tokens = 0;

    ngx_memzero(&survey, sizeof(ngx_zertiban_survey_t));

    while (ngx_zertiban_survey_next(fz->zone, n == 0, &survey) == NGX_OK) {

        node = ngx_zertiban_node_find(fz->zone, survey.key);

        fuzz_check(node != NULL && n < info.nodes);
        fuzz_check(survey.token == (ngx_zertiban_node_valid(node) ? 1 : 0));
        fuzz_check(survey.planned == 0
                   || ngx_zertiban_before(ngx_current_msec, survey.next)
                   || survey.standing == NGX_ZERTIBAN_VALID);

        n++;
        tokens += survey.token;
    }

    fuzz_check(n == info.nodes);
    fuzz_check(tokens <= fz->tokens);
}


static void
fuzz_walk(fuzz_zone_t *fz)
{
    ngx_uint_t             i, n, nodes, held, taken, fetching;
    ngx_queue_t           *q, *queues[2];
    ngx_zertiban_shm_t    *sh;
    ngx_zertiban_node_t   *node;
    ngx_zertiban_piece_t  *piece;

    sh = fz->zone->sh;

    queues[0] = &sh->tokens;
    queues[1] = &sh->states;

    nodes = 0;
    held = 0;
    taken = 0;
    fetching = 0;
    fz->tokens = 0;

    for (i = 0; i < 2; i++) {

        for (q = ngx_queue_head(queues[i]);
             q != ngx_queue_sentinel(queues[i]);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_zertiban_node_t, queue);

            fuzz_check(ngx_zertiban_node_find(fz->zone, node->key) == node);
            fuzz_check((node->value != NULL) == (i == 0));
            fuzz_check((node->generation != 0) == (i == 0));
            fuzz_check(node->fetching == 0 || node->lease);

            n = 0;

            for (piece = node->value; piece; piece = piece->next) {
                n++;
            }

            fuzz_check(n == fuzz_pieces(node->len));

            if (node->trouble) {
                taken++;
            }

            if (node->tries) {
                taken++;
                fuzz_check(node->tries->n <= NGX_ZERTIBAN_PAIRS_MAX);
            }

            nodes++;
            taken += n + 1;
            held += (i == 0) ? n + 1 : 0;
            fetching += node->fetching;
            fz->tokens += (i == 0);
        }
    }

    fuzz_check(sh->nodes == nodes);
    fuzz_check(sh->held == held);
    fuzz_check(sh->taken == taken);
    fuzz_check(sh->taken <= sh->pieces);
    fuzz_check(sh->fetching == fetching);
    fuzz_check(sh->changing == 0);

    fz->held = held;

    for (i = 0; i < FUZZ_KEYS; i++) {

        node = ngx_zertiban_node_find(fz->zone, fz->credentials[i].key);

        fuzz_check(node || !fz->credentials[i].pinned);

        if (fz->credentials[i].lease
            && ngx_zertiban_before(ngx_current_msec,
                                   fz->credentials[i].deadline))
        {
            fuzz_check(node && node->lease == fz->credentials[i].lease);
        }
    }
}


static ngx_uint_t
fuzz_pieces(size_t len)
{
    return (len + NGX_ZERTIBAN_PIECE_LEN - 1) / NGX_ZERTIBAN_PIECE_LEN;
}
