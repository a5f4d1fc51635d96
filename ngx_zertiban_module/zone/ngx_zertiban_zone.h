
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ZONE_H_INCLUDED_
#define _NGX_ZERTIBAN_ZONE_H_INCLUDED_


#include "ngx_zertiban_node.h"


/* a worker's copy of a token */

typedef struct {
    ngx_str_t                   value;          /* "Bearer <token>" */
    size_t                      size;           /* ngx_alloc()ed for it */
    ngx_atomic_uint_t           generation;     /* 0: there is none */
    ngx_msec_t                  usable;         /* until then */
} ngx_zertiban_copy_t;


/* what a worker was told about a credential when it looked last */

typedef struct {
    ngx_uint_t                  lease;          /* the caller's, or 0 */
    ngx_msec_t                  next;           /* when to look again */
    ngx_atomic_uint_t           ended;          /* of the node */
    ngx_zertiban_error_e        error;
    ngx_msec_t                  delay;          /* ms to the next attempt */
} ngx_zertiban_look_t;


/* how long a token is good for, ms */

typedef struct {
    ngx_msec_t                  sent;           /* in ngx_current_msec's time */
    ngx_msec_t                  lifetime;
    ngx_msec_t                  refresh_before;
} ngx_zertiban_life_t;


/*
 * All that follows takes the slab pool's mutex itself and never keeps it.
 *
 * Looks the credential "key" up, makes it if it is new, and copies its token
 * to "copy".  "*nodep" is set, for what may be read of it.  "pinned" keeps
 * the credential in the zone as long as this configuration is in use.
 *
 * Whoever finds that an exchange is due is given the lease for it: with
 * look->lease set, the caller must run one within "timeout" ms and then call
 * one of
 * ngx_zertiban_zone_publish(), _fail() and _release().  A worker that is
 * shutting down is given none while the token is valid.
 *
 * Returns
 *     NGX_OK        the token is valid
 *     NGX_AGAIN     none yet, an exchange is in flight or the caller's to run
 *     NGX_DECLINED  none, and no attempt before look->delay; see look->error
 *     NGX_ERROR     the zone is full, or there is no memory for the copy
 */

ngx_int_t ngx_zertiban_zone_acquire(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_node_t **nodep, ngx_uint_t pinned, ngx_msec_t timeout,
    ngx_zertiban_copy_t *copy, ngx_zertiban_look_t *look);

/* whether a token of such a life can be used now */

ngx_uint_t ngx_zertiban_zone_alive(ngx_zertiban_life_t *life);

/*
 * End the exchange of "lease" with a token, copied into the zone, or with a
 * failure, which is followed by a delay: "retry_after" s, or a growing one if
 * it is -1.  outcome->failures is the number of failures in a row before, or
 * with this one; outcome->delay what follows, ms.
 *
 * Return NGX_OK; NGX_DECLINED if the lease has gone to somebody else, and
 * nothing was changed; ngx_zertiban_zone_publish() also NGX_ERROR if the zone
 * is full: nothing was changed, and the lease is to be ended with a failure.
 */

typedef struct {
    ngx_uint_t                  failures;
    ngx_msec_t                  delay;
} ngx_zertiban_outcome_t;

ngx_int_t ngx_zertiban_zone_publish(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_str_t *token, ngx_zertiban_life_t *life,
    ngx_zertiban_outcome_t *outcome);
ngx_int_t ngx_zertiban_zone_fail(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease, ngx_zertiban_error_e error, time_t retry_after,
    ngx_zertiban_outcome_t *outcome);

/*
 * Ends the exchange of "lease", if it is still there, without an outcome:
 * whoever looks next may begin another one at once.
 */

void ngx_zertiban_zone_release(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_uint_t lease);

/*
 * Drops the token of "generation" if it is the current one.  Returns NGX_OK, or
 * NGX_DECLINED if that was obtained in the last 10 s: nothing was changed.
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
 */

ngx_uint_t ngx_zertiban_zone_pending(ngx_zertiban_zone_t *zone, u_char *key);

/* wipes and frees the copy of the token; takes no mutex */

void ngx_zertiban_copy_free(ngx_zertiban_copy_t *copy);


#endif /* _NGX_ZERTIBAN_ZONE_H_INCLUDED_ */
