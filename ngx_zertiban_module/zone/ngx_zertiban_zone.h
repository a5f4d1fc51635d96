
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ZONE_H_INCLUDED_
#define _NGX_ZERTIBAN_ZONE_H_INCLUDED_


#include "ngx_zertiban_life.h"
#include "ngx_zertiban_node.h"


/* of RFC 6750, section 2.1 */

#define NGX_ZERTIBAN_SCHEME      "Bearer "
#define NGX_ZERTIBAN_SCHEME_LEN  (sizeof(NGX_ZERTIBAN_SCHEME) - 1)


/* who looks, and what may follow from it */

typedef struct {
    ngx_msec_t                  timeout;        /* ms, of an exchange */
    ngx_zertiban_node_t        *node;           /* of the last look, or NULL */
    u_char                     *value;          /* "size" bytes for a copy, */
    size_t                      size;           /* or 0 */
    ngx_atomic_uint_t           generation;     /* that is there, or 0 */
    ngx_uint_t                  lease;          /* of the asker's exchange */
    ngx_zertiban_tag_t          tag;            /* of all its pairs, or 0 */
    unsigned                    changed:1;      /* these are new */
    unsigned                    pinned:1;       /* by this configuration */
    unsigned                    copy:1;         /* the token is needed */
    unsigned                    waits:1;        /* a request does, or would */
    unsigned                    refresh:1;      /* the caller would run an
                                                   exchange if it is due, */
    unsigned                    fetch:1;        /* or if there is no token */
} ngx_zertiban_ask_t;


/* what a worker was told about a credential when it looked last */

typedef struct {
    ngx_zertiban_node_t        *node;
    ngx_uint_t                  lease;          /* the caller's, or 0, */
    ngx_zertiban_mark_t         mark;           /* and what it has to tell */
    ngx_msec_t                  next;           /* when to look again */
    ngx_atomic_uint_t           ended;          /* of the node */

    size_t                      len;            /* of the token, bytes */
    ngx_atomic_uint_t           generation;
    ngx_msec_t                  usable;         /* until then */

    ngx_zertiban_error_e        error;
    ngx_msec_t                  delay;          /* ms to the next attempt */
    ngx_zertiban_tag_t          tried;          /* of the pairs tried last */
    unsigned                    refused:1;      /* a pair is */
    unsigned                    orphaned:1;     /* the owner of the exchange
                                                   before is gone, or late */
} ngx_zertiban_look_t;


/*
 * All that follows takes the slab pool's mutex itself and never keeps it.
 *
 * Looks the credential "key" up, makes it if it is new and an exchange might
 * follow, and copies "Bearer <token>" to ask->value, if that is wanted.
 * look->node is set for what may be read of it, or is NULL.
 *
 * Whoever finds that an exchange is due, and would run it, is given the lease
 * for it: with look->lease set, the caller must run one within ask->timeout and
 * then call one of ngx_zertiban_zone_publish(), _fail() and _release().
 *
 * Returns
 *     NGX_OK        the token is valid; if it is wanted and look->len is more
 *                   than ask->size, nothing else was done
 *     NGX_AGAIN     none yet, an exchange is in flight or the caller's to run,
 *                   or it is too early for one
 *     NGX_DECLINED  none, and no attempt before look->delay; see look->error
 *     NGX_BUSY      none, and the caller would not run the exchange
 *     NGX_ERROR     the zone is full
 */

ngx_int_t ngx_zertiban_zone_acquire(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_ask_t *ask, ngx_zertiban_look_t *look);

/*
 * Keeps the credential in the zone, if there is room, as long as this
 * configuration is in use.
 */

void ngx_zertiban_zone_pin(ngx_zertiban_zone_t *zone, u_char *key);

/*
 * End the exchange of "lease" with a token, copied into the zone, which "pair"
 * has obtained, 0 if the credential has none; or with a failure, which is
 * followed by a delay: "retry_after" s, or a growing one if it is -1.
 * outcome->failures is the number of failures in a row before, or with this
 * one; outcome->delay what follows, ms.
 *
 * Return NGX_OK; NGX_DECLINED if the lease has gone to somebody else, and
 * nothing was changed; ngx_zertiban_zone_publish() also NGX_ERROR if the zone
 * is full: nothing was changed, and the lease is to be ended with a failure.
 */

typedef struct {
    ngx_atomic_uint_t           generation;     /* of the token */
    ngx_uint_t                  failures;
    ngx_uint_t                  refusals;       /* of the pair, before */
    ngx_msec_t                  delay;
} ngx_zertiban_outcome_t;

ngx_int_t ngx_zertiban_zone_publish(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tag_t pair, ngx_str_t *token,
    ngx_zertiban_life_t *life, ngx_zertiban_outcome_t *outcome);
ngx_int_t ngx_zertiban_zone_fail(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_error_e error, time_t retry_after,
    ngx_zertiban_outcome_t *outcome);

/*
 * For a credential that has pairs, in the exchange of "lease":
 *
 * ngx_zertiban_zone_begin() sets "order" to the places in "tags" of those that
 * are to be tried, one after the other as long as they are refused, and returns
 * their number.  "*spare" is 1 if none of them is needed: the token's own pair
 * is not among them.
 *
 * ngx_zertiban_zone_refuse() says that one was refused, or if none is needed,
 * that it has failed with another error: "*refusals" is how often in a row, and
 * "*delay" how long it is left out then, ms, if there are others: no less than
 * it was before.  Returns NGX_OK, or NGX_DECLINED if the lease has gone to
 * somebody else: no other pair is to be tried.
 */

ngx_uint_t ngx_zertiban_zone_begin(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tags_t *tags, ngx_uint_t *order,
    ngx_uint_t *spare);
ngx_int_t ngx_zertiban_zone_refuse(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_tag_t pair, ngx_zertiban_error_e error,
    ngx_uint_t *refusals, ngx_msec_t *delay);

/*
 * Returns 1 if "what" is not what was said of the credential last, in the log
 * of any worker.
 */

ngx_uint_t ngx_zertiban_zone_say(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_tag_t what);

/*
 * Ends the exchange of "lease", if it is still there, without an outcome.
 * Whoever looks next may begin another one: at once, or, if "sent", when that
 * is due after one that was sent.
 */

void ngx_zertiban_zone_release(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_uint_t sent);

/*
 * Drops the token of "generation" if it is the current one.  Returns NGX_OK, or
 * NGX_DECLINED if that was obtained in the last 10 s, or is one that the zone
 * could not keep, which is 0: nothing was changed.
 */

ngx_int_t ngx_zertiban_zone_drop(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation);

/*
 * Has the token of "generation" refreshed by whoever looks next, if it is the
 * current one and was not obtained in the last 10 s.
 */

void ngx_zertiban_zone_doubt(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_atomic_uint_t generation);

/*
 * Returns 1 while those who wait for the credential have nothing to do but
 * wait: there is no token, and its exchange is in flight in a live process.
 * "lease" is that of their own exchange, or 0.
 */

ngx_uint_t ngx_zertiban_zone_pending(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease);

/*
 * Returns 1 if others want the outcome of the credential's exchange than those
 * whose own it is: they wait for it, or their configuration names it.
 */

ngx_uint_t ngx_zertiban_zone_wanted(ngx_zertiban_zone_t *zone, u_char *key);


#endif /* _NGX_ZERTIBAN_ZONE_H_INCLUDED_ */
