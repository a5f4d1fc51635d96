
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_COUNTERS_H_INCLUDED_
#define _NGX_ZERTIBAN_COUNTERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_error.h"
#include "ngx_zertiban_identity.h"


/* times, ms: a bucket has those up to its bound, and the last one the rest */

#define NGX_ZERTIBAN_BUCKETS         10

typedef struct {
    ngx_atomic_t                buckets[NGX_ZERTIBAN_BUCKETS];
    ngx_atomic_t                sum;            /* ms */
} ngx_zertiban_times_t;

/* the bounds of all buckets but the last one, ms */

extern ngx_msec_t  ngx_zertiban_wait_bounds[NGX_ZERTIBAN_BUCKETS - 1];
extern ngx_msec_t  ngx_zertiban_exchange_bounds[NGX_ZERTIBAN_BUCKETS - 1];


/* what a process has counted of a credential's requests */

typedef struct {
    ngx_atomic_t                hits;           /* went on at once */
    ngx_atomic_t                waits;          /* went on after a wait */
    ngx_atomic_t                waiting;        /* now */
} ngx_zertiban_tally_t;


/*
 * What a process has counted, in a slot of the zone that nobody else writes to:
 * plain increments, which stay when the process has gone, and when the zone is
 * emptied.  All members are words.
 */

typedef struct {
    ngx_atomic_t                owner;          /* a process, 0: none */

    ngx_uint_t                  refused[NGX_ZERTIBAN_ERRORS];
    ngx_uint_t                  aborted;        /* left while they waited */
    ngx_uint_t                  replayed;       /* after a 401 */
    ngx_uint_t                  passed;         /* 401s */
    ngx_uint_t                  missing;        /* tokens, of locations */
    ngx_zertiban_times_t        waits;

    ngx_zertiban_tally_t        tally;          /* of the first record; others
                                                   follow */
} ngx_zertiban_counters_t;


/*
 * What is counted of the exchanges of a credential, by whoever runs them.  The
 * first record of a zone is of all credentials that have none: those that the
 * configuration does not name, and those for which there was no room.
 */

typedef struct {
    u_char                      key[NGX_ZERTIBAN_KEY_LEN];
    ngx_uint_t                  configuration;  /* the last one that has named
                                                   it, 0: free */
    ngx_atomic_t                exchanges[NGX_ZERTIBAN_ERRORS];
    ngx_atomic_t                abandoned;
    ngx_zertiban_times_t        times;

    time_t                      obtained;       /* the last token was, 0: none
                                                   ever was */
    ngx_zertiban_tag_t          pair;           /* that has obtained it */
    time_t                      since;          /* it is used, or was written */

    time_t                      ahead;          /* s, of the endpoint's clock,
                                                   negative: behind it; */
    time_t                      compared;       /* then, 0: never */
} ngx_zertiban_record_t;


/* where all of it is, in shared memory, and when something has happened last */

typedef struct {
    void                       *start;          /* zeroed at first */
    ngx_uint_t                  records;
    ngx_uint_t                  slots;

    /* of this machine's clock, 0: never; whoever sees it writes it */

    time_t                      refused[NGX_ZERTIBAN_ERRORS];
    time_t                      passed;         /* a 401 was */
    time_t                      missing;        /* a token was */
    time_t                      evicted;        /* a token that had not
                                                   expired */
    time_t                      emptied;        /* the zone was */
} ngx_zertiban_ledger_t;


/* this process's; if it has no slot, in its own memory */

extern ngx_zertiban_counters_t  *ngx_zertiban_counters;


/*
 * Decides on the slots and records of a zone of "size" bytes, for "named"
 * credentials of a configuration and "workers" processes.
 */

void ngx_zertiban_counters_plan(ngx_zertiban_ledger_t *ledger, size_t size,
    ngx_uint_t named, ngx_uint_t workers);

/* how many bytes these take */

size_t ngx_zertiban_counters_size(ngx_zertiban_ledger_t *ledger);

/*
 * In the master process: the record of "key", for this configuration, whose
 * number grows; that of a credential that the last two do not name goes for it.
 * What has no room gets the first one.
 *
 * A number is lost with each configuration that could not be loaded, so at
 * first ngx_zertiban_counters_known() has to say of all credentials that this
 * one names them: or some would go for others.  It returns the record, or NULL.
 */

ngx_zertiban_record_t *ngx_zertiban_counters_record(
    ngx_zertiban_ledger_t *ledger, u_char *key, ngx_uint_t configuration);
ngx_zertiban_record_t *ngx_zertiban_counters_known(
    ngx_zertiban_ledger_t *ledger, u_char *key, ngx_uint_t configuration);

/* the record of all others */

#define ngx_zertiban_counters_other(ledger)                                   \
    ((ngx_zertiban_record_t *) (ledger)->start)

/*
 * In a worker process, without the mutex.
 *
 * ngx_zertiban_counters_claim() finds it a slot, that of a process that has
 * gone or a new one.  If all are taken it counts in its own memory, and adds
 * that to the zone each second.  ngx_zertiban_counters_release() gives it back.
 */

void ngx_zertiban_counters_claim(ngx_zertiban_ledger_t *ledger);
void ngx_zertiban_counters_release(ngx_zertiban_ledger_t *ledger);

/* where this process counts the requests of the record's credential */

ngx_zertiban_tally_t *ngx_zertiban_counters_tally(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record);

/* counts a time, ms */

void ngx_zertiban_counters_time(ngx_zertiban_times_t *times,
    ngx_msec_t *bounds, ngx_msec_t msec);

/*
 * Sums up what all processes have counted, those that have gone, too;
 * sum->tally is of all credentials.  What waited in a process that has gone is
 * "aborted".
 */

void ngx_zertiban_counters_sum(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_counters_t *sum);

/* the same, of the record's credential */

void ngx_zertiban_counters_sum_tally(ngx_zertiban_ledger_t *ledger,
    ngx_zertiban_record_t *record, ngx_zertiban_tally_t *sum);


#endif /* _NGX_ZERTIBAN_COUNTERS_H_INCLUDED_ */
