
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_
#define _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_zertiban_client.h"
#include "ngx_zertiban_copy.h"
#include "ngx_zertiban_counters.h"
#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_pairs.h"
#include "ngx_zertiban_zone.h"


/* what this worker remembers of credentials that depend on variables, bytes */

#define NGX_ZERTIBAN_KNOWN_MAX  ((size_t) 48 << 20)


typedef struct ngx_zertiban_credential_s  ngx_zertiban_credential_t;

typedef void (*ngx_zertiban_credential_pt)(
    ngx_zertiban_credential_t *credential);


/* all credentials that this worker process knows; lives as long as a cycle */

typedef struct {
    ngx_rbtree_t                     rbtree;
    ngx_rbtree_node_t                sentinel;
    ngx_queue_t                      sources;
    ngx_queue_t                      pinned;
    ngx_queue_t                      dynamic;     /* the last used first */
    ngx_uint_t                       ndynamic;
    size_t                           known;       /* bytes, of "dynamic" */

    ngx_queue_t                      waiting;     /* those waited for */
    ngx_queue_t                      abandoned;   /* and not any more */
    ngx_event_t                      start;
    ngx_event_t                      poll;
    ngx_event_t                      sweep;

    ngx_zertiban_copies_t            copies;
    ngx_zertiban_look_t              look;        /* the last one */

    ngx_uint_t                       fetching;    /* exchanges in flight here,
                                                     without a token */
    ngx_msec_t                       sick;        /* no exchange until then,
                                                     0: well */

    /* lines of the log: when they are errors again */

    ngx_msec_t                       full;
    ngx_msec_t                       lack;
    ngx_msec_t                       failed;
    ngx_uint_t                       nfailed;     /* not named since */
    ngx_event_t                      failed_more;

    ngx_rbtree_t                     due;         /* when to look at them */
    ngx_rbtree_node_t                due_sentinel;
    ngx_event_t                      clock;       /* for the first of these */

    ngx_zertiban_credential_pt       look_due;    /* that moment has come */
    ngx_zertiban_credential_pt       ended;       /* its exchange has */
    ngx_shm_zone_t                  *shm_zone;
} ngx_zertiban_credentials_t;


/* what locations have in common whose equal credentials are one */

typedef struct {
    ngx_zertiban_grant_t             grant;       /* first */
    ngx_queue_t                      queue;
    ngx_zertiban_client_conf_t      *client;
    ngx_msec_t                       refresh_before;
    ngx_zertiban_credentials_t      *credentials;
} ngx_zertiban_source_t;


struct ngx_zertiban_credential_s {
    ngx_rbtree_node_t                rbnode;
    ngx_queue_t                      queue;       /* in "pinned", "dynamic" */
    ngx_queue_t                      waiting;     /* in that, "abandoned" */
    ngx_queue_t                      waiters;
    ngx_atomic_uint_t                ended;       /* as they know */

    ngx_zertiban_identity_t          identity;
    u_char                           key[NGX_ZERTIBAN_KEY_LEN];
    ngx_zertiban_pairs_t            *pairs;       /* NULL: it has one, which is
                                                     that of the identity */

    ngx_zertiban_node_t             *node;
    ngx_zertiban_copy_t             *copy;        /* of the token, or NULL */
    ngx_msec_t                       fresh;       /* that is, until then */
    ngx_atomic_uint_t                generation;  /* the last one seen, */
    ngx_msec_t                       usable;      /* and until when */
    ngx_msec_t                       grace;       /* while abandoned */
    ngx_rbtree_node_t                due;         /* to look by itself */

    ngx_zertiban_client_t           *exchange;    /* in flight here, */
    ngx_uint_t                       lease;       /* its own, */
    ngx_zertiban_mark_t              mark;        /* that it tells, */
    ngx_msec_t                       begun;       /* and since when */

    ngx_zertiban_record_t           *record;      /* of exchanges */
    ngx_zertiban_tally_t            *tally;       /* of requests, here */

    ngx_uint_t                       refs;        /* holders */
    unsigned                         pinned:1;    /* known to the
                                                     configuration */
    unsigned                         armed:1;     /* is in "due" */
    unsigned                         used:1;      /* served since it has
                                                     changed */
    unsigned                         fetching:1;  /* counted as such */
    unsigned                         abandoned:1; /* in that queue */
    unsigned                         handed:1;    /* to those who waited */
    unsigned                         lapsed:1;    /* to be forgotten */
};


/* returns NULL if there is no memory */

ngx_zertiban_credentials_t *ngx_zertiban_credentials_create(ngx_conf_t *cf);

/*
 * The source with this grant, client and "refresh_before", ms, made if there is
 * none; it lives as long as the cycle, and so must "client".  NULL if there is
 * no memory.
 */

ngx_zertiban_source_t *ngx_zertiban_source(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_grant_t *grant,
    ngx_zertiban_client_conf_t *client, ngx_msec_t refresh_before);

/* NULL if this worker does not know it */

ngx_zertiban_credential_t *ngx_zertiban_credential_find(
    ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_identity_t *identity);

/*
 * Makes a credential that is not there, without a token; identity->grant is
 * that of a source.  With "pool" it lives as long as that, uses the strings of
 * "identity" in place, and has "pairs": for those that the configuration names.
 * Without, they are copied, and it may be gone when the event loop runs, unless
 * it is held.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_credential_t *ngx_zertiban_credential_create(
    ngx_zertiban_credentials_t *credentials, ngx_pool_t *pool,
    ngx_zertiban_pairs_t *pairs, ngx_zertiban_identity_t *identity);

/* in the master process, when the zone is there: finds each a record in it */

void ngx_zertiban_credentials_record(ngx_zertiban_credentials_t *credentials);

/*
 * Has its requests counted in this process's slot, and its exchanges with those
 * of others, if it has no record of its own.
 */

void ngx_zertiban_credential_count(ngx_zertiban_credential_t *credential);

/*
 * Sets a timer of the set, which is ev->data, ms from now, unless it is set; it
 * does not hold a worker that is shutting down.
 */

void ngx_zertiban_credentials_add_timer(
    ngx_zertiban_credentials_t *credentials, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_msec_t timer);

#define ngx_zertiban_credential_hold(c)     (c)->refs++

/* it stays until the event loop runs at least */

void ngx_zertiban_credential_release(ngx_zertiban_credential_t *credential);

/* has credentials->look_due called at "next", or soon, once */

void ngx_zertiban_credential_arm(ngx_zertiban_credential_t *credential,
    ngx_msec_t next);

/* forgets a credential that is neither pinned nor held */

void ngx_zertiban_credential_forget(ngx_zertiban_credential_t *credential);

/* forgets the dynamic ones that nobody has looked at since "seen" */

void ngx_zertiban_credentials_expire(ngx_zertiban_credentials_t *credentials,
    ngx_msec_t seen);

/* of its exchange that is in flight here, or 0 */

#define ngx_zertiban_credential_lease(c)                                      \
    ((c)->exchange ? (c)->lease : 0)

#define ngx_zertiban_credential_source(c)                                     \
    ((ngx_zertiban_source_t *) (c)->identity.grant)

#define ngx_zertiban_credential_set(c)                                        \
    (ngx_zertiban_credential_source(c)->credentials)

/* the zone's handle, of the configuration that it is of */

#define ngx_zertiban_credentials_zone(set)                                    \
    ((ngx_zertiban_zone_t *) (set)->shm_zone->data)

#define ngx_zertiban_credentials_ledger(set)                                  \
    (&ngx_zertiban_credentials_zone(set)->sh->ledger)

#define ngx_zertiban_credential_zone(c)                                       \
    ngx_zertiban_credentials_zone(ngx_zertiban_credential_set(c))

#define ngx_zertiban_credential_ledger(c)                                     \
    ngx_zertiban_credentials_ledger(ngx_zertiban_credential_set(c))


#endif /* _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_ */
