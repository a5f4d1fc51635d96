
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_TRIES_H_INCLUDED_
#define _NGX_ZERTIBAN_TRIES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_error.h"
#include "ngx_zertiban_identity.h"


typedef struct {
    ngx_zertiban_tag_t          tag;
    ngx_msec_t                  retry;          /* not before, unless there is
                                                   no other one */
    ngx_uint_t                  refusals;       /* in a row */
} ngx_zertiban_try_t;


/* what became of the pairs of a credential; in one piece of the zone */

typedef struct {
    ngx_zertiban_tag_t          all;            /* of what was tried last, */
    ngx_uint_t                  configuration;  /* and whose that is */
    ngx_zertiban_tag_t          used;           /* has obtained the token */
    ngx_zertiban_tag_t          said;           /* in the log, last */
    ngx_msec_t                  probe;          /* when a better pair than that
                                                   is tried again, 0: none is */
    ngx_uint_t                  n;
    ngx_zertiban_try_t          pairs[NGX_ZERTIBAN_PAIRS_MAX];
} ngx_zertiban_tries_t;


/* all that follows is called with the slab pool's mutex held */

/*
 * Begins to try the pairs "tags", of a configuration; what is known of those
 * that were tried before stays only if they are all the same.
 *
 * Returns how many are to be tried: "order" has their places in "tags".  First
 * are those that were not refused, then those that were, and last those that
 * were a short time ago.  With "better" only those that are better than the one
 * in use are tried, if that is among them, and not before it is time: "*spare"
 * is 1 then.
 */

ngx_uint_t ngx_zertiban_tries_begin(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tags_t *tags, ngx_uint_t configuration, ngx_uint_t better,
    ngx_uint_t *order, ngx_uint_t *spare);

/*
 * The pair is refused, or has failed with another error, and is left out for at
 * least "*delay", ms, which is set to that time; returns how often it was, or 0
 * if it is unknown.
 */

ngx_uint_t ngx_zertiban_tries_refuse(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tag_t tag, ngx_zertiban_error_e error, ngx_msec_t *delay);

/*
 * The delay after so many failures in a row, ms: from 1 s on, doubled up to
 * 30 s; from 5 s on, up to "rejected_max", if the client was refused.  Takes no
 * lock.
 */

ngx_msec_t ngx_zertiban_tries_delay(ngx_zertiban_error_e error,
    ngx_uint_t failures, ngx_msec_t rejected_max);

/* the pair is the one in use; returns how often it was refused before */

ngx_uint_t ngx_zertiban_tries_accept(ngx_zertiban_tries_t *tries,
    ngx_zertiban_tag_t tag);

/*
 * Those that are better than the one in use may be tried again now; returns 0
 * if there are none.
 */

ngx_uint_t ngx_zertiban_tries_retry(ngx_zertiban_tries_t *tries);


#endif /* _NGX_ZERTIBAN_TRIES_H_INCLUDED_ */
