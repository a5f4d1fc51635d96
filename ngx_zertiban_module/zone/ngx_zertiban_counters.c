
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What is counted, in the head of the zone: of requests by each process for
 * itself, of exchanges for each credential.
 */


#include "ngx_zertiban_counters.h"

#include <ngx_event.h>


#define NGX_ZERTIBAN_SLOTS    8         /* at least, if there is room */
#define NGX_ZERTIBAN_SPARE    32        /* records, for later configurations */
#define NGX_ZERTIBAN_LITTLE   16        /* this part of a zone */
#define NGX_ZERTIBAN_SHARE    4
#define NGX_ZERTIBAN_ALIGN    128       /* bytes: two lines of a cache */
#define NGX_ZERTIBAN_ADD      1000      /* ms, without a slot */


static size_t ngx_zertiban_counters_slot(ngx_zertiban_ledger_t *ledger);
static ngx_zertiban_counters_t *ngx_zertiban_counters_at(
    ngx_zertiban_ledger_t *ledger, ngx_uint_t i);
static ngx_uint_t ngx_zertiban_counters_index(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record);
static void ngx_zertiban_counters_take(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record);
static void ngx_zertiban_counters_move(ngx_atomic_t *to, ngx_atomic_t *from,
    ngx_uint_t n);
static ngx_uint_t ngx_zertiban_counters_own(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot);
static void ngx_zertiban_counters_bury(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot);
static void ngx_zertiban_counters_add_handler(ngx_event_t *ev);
static void ngx_zertiban_counters_add(ngx_zertiban_ledger_t *ledger);
static void ngx_zertiban_counters_sum_slot(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot, ngx_zertiban_counters_t *sum);
static void ngx_zertiban_counters_add_tally(ngx_zertiban_tally_t *sum,
    ngx_zertiban_tally_t *tally);


ngx_msec_t  ngx_zertiban_wait_bounds[] = {
    10, 50, 100, 250, 500, 1000, 2500, 5000, 10000
};

ngx_msec_t  ngx_zertiban_exchange_bounds[] = {
    25, 50, 100, 250, 500, 1000, 2500, 5000, 10000
};


/* of a process that has no slot; the first one of a zone is of all these */

static ngx_zertiban_counters_t  ngx_zertiban_counters_local;

ngx_zertiban_counters_t  *ngx_zertiban_counters
    = &ngx_zertiban_counters_local;

static ngx_event_t  ngx_zertiban_counters_event;


/*
 * What is for later configurations and old workers takes a little only, and
 * what is needed now no more than its share: who has no slot counts all the
 * same, and a credential without a record is counted with all others.
 */

void
ngx_zertiban_counters_plan(ngx_zertiban_ledger_t *ledger, size_t size,
    ngx_uint_t named, ngx_uint_t workers)
{
    ngx_uint_t  spare;

    ledger->slots = 1 + ngx_max(4 * workers, NGX_ZERTIBAN_SLOTS);

    for (spare = NGX_ZERTIBAN_SPARE; spare; spare /= 2) {
        ledger->records = 1 + named + spare;

        if (ngx_zertiban_counters_size(ledger) <= size / NGX_ZERTIBAN_LITTLE) {
            return;
        }
    }

    ledger->records = 1 + named;
    ledger->slots = 1 + ngx_max(2 * workers, NGX_ZERTIBAN_SLOTS);

    while (ngx_zertiban_counters_size(ledger) > size / NGX_ZERTIBAN_SHARE) {

        if (ledger->records > ledger->slots) {
            ledger->records--;

        } else if (ledger->slots > 1) {
            ledger->slots--;

        } else {
            break;
        }
    }
}


/* records first, then slots, each on lines of its own */

size_t
ngx_zertiban_counters_size(ngx_zertiban_ledger_t *ledger)
{
    return ledger->records * sizeof(ngx_zertiban_record_t) + NGX_ZERTIBAN_ALIGN
           + ledger->slots * ngx_zertiban_counters_slot(ledger);
}


static size_t
ngx_zertiban_counters_slot(ngx_zertiban_ledger_t *ledger)
{
    return ngx_align(sizeof(ngx_zertiban_counters_t)
                     + (ledger->records - 1) * sizeof(ngx_zertiban_tally_t),
                     NGX_ZERTIBAN_ALIGN);
}


static ngx_zertiban_counters_t *
ngx_zertiban_counters_at(ngx_zertiban_ledger_t *ledger, ngx_uint_t i)
{
    u_char  *p;

    p = (u_char *) ledger->start
        + ledger->records * sizeof(ngx_zertiban_record_t);
    p = ngx_align_ptr(p, NGX_ZERTIBAN_ALIGN);

    return (ngx_zertiban_counters_t *)
                                 (p + i * ngx_zertiban_counters_slot(ledger));
}


static ngx_uint_t
ngx_zertiban_counters_index(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record)
{
    return record - ngx_zertiban_counters_other(ledger);
}


ngx_zertiban_record_t *
ngx_zertiban_counters_known(ngx_zertiban_ledger_t *ledger, u_char *key,
    ngx_uint_t configuration)
{
    ngx_uint_t              i;
    ngx_zertiban_record_t  *record;

    record = ngx_zertiban_counters_other(ledger);

    for (i = 1; i < ledger->records; i++) {

        if (record[i].configuration
            && ngx_memcmp(record[i].key, key, NGX_ZERTIBAN_KEY_LEN) == 0)
        {
            record[i].configuration = configuration;
            return &record[i];
        }
    }

    return NULL;
}


ngx_zertiban_record_t *
ngx_zertiban_counters_record(ngx_zertiban_ledger_t *ledger, u_char *key,
    ngx_uint_t configuration)
{
    ngx_uint_t              i;
    ngx_zertiban_record_t  *record, *room, *known;

    known = ngx_zertiban_counters_known(ledger, key, configuration);

    if (known) {
        return known;
    }

    record = ngx_zertiban_counters_other(ledger);
    room = NULL;

    for (i = 1; i < ledger->records; i++) {
        if (room == NULL || record[i].configuration < room->configuration) {
            room = &record[i];
        }
    }

    if (room
        && (room->configuration == 0
            || room->configuration + 1 < configuration))
    {
        ngx_zertiban_counters_take(ledger, room);

        ngx_memcpy(room->key, key, NGX_ZERTIBAN_KEY_LEN);
        room->configuration = configuration;

        return room;
    }

    return record;
}


/*
 * What was counted for its credential is that of others from now on; what an
 * old worker still counts is that of the next one.
 */

static void
ngx_zertiban_counters_take(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record)
{
    ngx_uint_t              i, n;
    ngx_zertiban_tally_t   *tally, *others;
    ngx_zertiban_record_t  *other;

    n = ngx_zertiban_counters_index(ledger, record);
    others = &ngx_zertiban_counters_at(ledger, 0)->tally;

    for (i = 0; i < ledger->slots; i++) {

        tally = &ngx_zertiban_counters_at(ledger, i)->tally + n;

        ngx_zertiban_counters_move(&others->hits, &tally->hits, 1);
        ngx_zertiban_counters_move(&others->waits, &tally->waits, 1);
    }

    other = ngx_zertiban_counters_other(ledger);

    ngx_zertiban_counters_move(other->exchanges, record->exchanges,
                               NGX_ZERTIBAN_ERRORS);
    ngx_zertiban_counters_move(&other->abandoned, &record->abandoned, 1);
    ngx_zertiban_counters_move((ngx_atomic_t *) &other->times,
                               (ngx_atomic_t *) &record->times,
                               sizeof(record->times) / sizeof(ngx_atomic_t));

    ngx_memzero(record, sizeof(ngx_zertiban_record_t));
}


static void
ngx_zertiban_counters_move(ngx_atomic_t *to, ngx_atomic_t *from, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        (void) ngx_atomic_fetch_add(&to[i], from[i]);
        from[i] = 0;
    }
}


void
ngx_zertiban_counters_claim(ngx_zertiban_ledger_t *ledger)
{
    ngx_uint_t                i;
    ngx_event_t              *ev;
    ngx_zertiban_counters_t  *slot;

    for (i = 1; i < ledger->slots; i++) {

        slot = ngx_zertiban_counters_at(ledger, i);

        if (slot == ngx_zertiban_counters) {

            /* a single process, with another configuration */

            return;
        }

        if (ngx_zertiban_counters_own(ledger, slot)) {
            ngx_zertiban_counters = slot;
            return;
        }
    }

    ngx_zertiban_counters = &ngx_zertiban_counters_local;

    ev = &ngx_zertiban_counters_event;

    if (ev->timer_set) {

        /* of another configuration, as above */

        ngx_del_timer(ev);
    }

    ev->handler = ngx_zertiban_counters_add_handler;
    ev->data = ledger;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_ZERTIBAN_ADD);
}


/*
 * Takes a slot of nobody, or of a process that has gone.  Its number may be one
 * that this process has been given anew.
 */

static ngx_uint_t
ngx_zertiban_counters_own(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot)
{
    ngx_atomic_uint_t  owner;

    owner = slot->owner;

    if (owner
        && owner != (ngx_atomic_uint_t) ngx_pid
        && (kill((ngx_pid_t) owner, 0) == 0 || ngx_errno != NGX_ESRCH))
    {
        return 0;
    }

    if (!ngx_atomic_cmp_set(&slot->owner, owner, ngx_pid)) {
        return 0;
    }

    ngx_zertiban_counters_bury(ledger, slot);

    return 1;
}


/* nobody answers those any more that waited there */

static void
ngx_zertiban_counters_bury(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot)
{
    ngx_uint_t             i;
    ngx_zertiban_tally_t  *tally;

    for (i = 0; i < ledger->records; i++) {
        tally = &slot->tally + i;

        slot->aborted += tally->waiting;
        tally->waiting = 0;
    }
}


void
ngx_zertiban_counters_release(ngx_zertiban_ledger_t *ledger)
{
    ngx_zertiban_counters_t  *slot;

    slot = ngx_zertiban_counters;

    if (slot == &ngx_zertiban_counters_local) {
        slot->aborted += slot->tally.waiting;
        slot->tally.waiting = 0;

        ngx_zertiban_counters_add(ledger);
        return;
    }

    ngx_zertiban_counters = &ngx_zertiban_counters_local;

    ngx_zertiban_counters_bury(ledger, slot);

    ngx_memory_barrier();

    slot->owner = 0;
}


static void
ngx_zertiban_counters_add_handler(ngx_event_t *ev)
{
    ngx_zertiban_counters_add(ev->data);

    ngx_add_timer(ev, NGX_ZERTIBAN_ADD);
}


/*
 * To the slot of all that have none; but what waits now stays here: nobody
 * could take it back for a process that has died.
 */

static void
ngx_zertiban_counters_add(ngx_zertiban_ledger_t *ledger)
{
    ngx_atomic_uint_t      waiting;
    ngx_zertiban_tally_t  *tally;

    tally = &ngx_zertiban_counters_local.tally;

    waiting = tally->waiting;
    tally->waiting = 0;

    ngx_zertiban_counters_move(
                 (ngx_atomic_t *) ngx_zertiban_counters_at(ledger, 0),
                 (ngx_atomic_t *) &ngx_zertiban_counters_local,
                 sizeof(ngx_zertiban_counters_t) / sizeof(ngx_atomic_t));

    tally->waiting = waiting;
}


ngx_zertiban_tally_t *
ngx_zertiban_counters_tally(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record)
{
    if (ngx_zertiban_counters == &ngx_zertiban_counters_local) {
        return &ngx_zertiban_counters_local.tally;
    }

    return &ngx_zertiban_counters->tally
           + ngx_zertiban_counters_index(ledger, record);
}


void
ngx_zertiban_counters_time(ngx_zertiban_times_t *times, ngx_msec_t *bounds,
    ngx_msec_t msec)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS - 1 && msec > bounds[i]; i++) {
        /* void */
    }

    (void) ngx_atomic_fetch_add(&times->buckets[i], 1);
    (void) ngx_atomic_fetch_add(&times->sum, msec);
}


/* the slot of a process that has gone is made nobody's by whoever looks */

void
ngx_zertiban_counters_sum(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *sum)
{
    ngx_uint_t                i;
    ngx_zertiban_counters_t  *slot;

    ngx_memzero(sum, sizeof(ngx_zertiban_counters_t));

    if (ngx_zertiban_counters == &ngx_zertiban_counters_local) {

        /* what one process shows another one must not take back */

        ngx_zertiban_counters_add(ledger);
    }

    for (i = 0; i < ledger->slots; i++) {

        slot = ngx_zertiban_counters_at(ledger, i);

        if (slot->owner
            && slot != ngx_zertiban_counters
            && ngx_zertiban_counters_own(ledger, slot))
        {
            ngx_memory_barrier();
            slot->owner = 0;
        }

        ngx_zertiban_counters_sum_slot(ledger, slot, sum);
    }
}


static void
ngx_zertiban_counters_sum_slot(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *slot, ngx_zertiban_counters_t *sum)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_ZERTIBAN_ERRORS; i++) {
        sum->refused[i] += slot->refused[i];
    }

    sum->aborted += slot->aborted;
    sum->replayed += slot->replayed;
    sum->passed += slot->passed;
    sum->missing += slot->missing;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS; i++) {
        sum->waits.buckets[i] += slot->waits.buckets[i];
    }

    sum->waits.sum += slot->waits.sum;

    for (i = 0; i < ledger->records; i++) {
        ngx_zertiban_counters_add_tally(&sum->tally, &slot->tally + i);
    }
}


static void
ngx_zertiban_counters_add_tally(ngx_zertiban_tally_t *sum,
    ngx_zertiban_tally_t *tally)
{
    sum->hits += tally->hits;
    sum->waits += tally->waits;
    sum->waiting += tally->waiting;
}


void
ngx_zertiban_counters_sum_tally(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record, ngx_zertiban_tally_t *sum)
{
    ngx_uint_t  i, n;

    n = ngx_zertiban_counters_index(ledger, record);

    ngx_memzero(sum, sizeof(ngx_zertiban_tally_t));

    for (i = 0; i < ledger->slots; i++) {
        ngx_zertiban_counters_add_tally(sum,
                            &ngx_zertiban_counters_at(ledger, i)->tally + n);
    }
}
