
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_PAIRS_H_INCLUDED_
#define _NGX_ZERTIBAN_PAIRS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_file.h"
#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_token.h"


#define NGX_ZERTIBAN_PAIRS_SIZE   16384           /* bytes, of a file */
#define NGX_ZERTIBAN_PAIRS_ERROR  128

#define NGX_ZERTIBAN_PAIR_DAYS    14              /* it should last, at least */


typedef struct {
    ngx_str_t                   id;
    ngx_str_t                   secret;
    time_t                      expires;          /* that day, UTC, or 0 */
    time_t                      written;          /* the file that has its
                                                     secret alone, or 0 */
} ngx_zertiban_pair_t;


typedef struct {
    ngx_zertiban_pair_t         elts[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_zertiban_tags_t         tags;             /* tags.n of them */
} ngx_zertiban_pair_list_t;


/* an exchange goes from one to the other until one is not refused */

typedef struct {
    ngx_uint_t                  order[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_uint_t                  n;
    ngx_uint_t                  next;             /* after the one tried */
    ngx_msec_t                  deadline;

    ngx_uint_t                  refused;          /* the first one that was,
                                                     or has not been before, */
    ngx_uint_t                  refusals;         /* so often in a row, */
    ngx_msec_t                  delay;            /* left out for ms, */
    size_t                      why_len;          /* and why; 0: none was */
    u_char                      why[2 * NGX_ZERTIBAN_REASON_MAX + 64];

    ngx_uint_t                  spare;            /* another one is in use */
} ngx_zertiban_attempts_t;


/* those of a file, or of the configuration */

typedef struct {
    ngx_zertiban_pair_list_t    list;

    ngx_str_t                   file;             /* its full name, or empty */
    ngx_zertiban_file_id_t      id;               /* when it was read last, */
    ngx_zertiban_file_id_t      good;             /* and that of the list */
    u_char                     *buf;              /* what "list" points to */
    u_char                     *other;            /* to read another one */

    ngx_zertiban_attempts_t     attempts;         /* of this worker */
    ngx_msec_t                  watch;            /* while watched, the next
                                                     look at the file */

    unsigned                    owned:1;          /* by a credential */
    unsigned                    unread:1;         /* read again anyway */
    unsigned                    bad:1;            /* so it was read last */
    unsigned                    changed:1;        /* not tried since */
    unsigned                    watched:1;        /* some are refused */
} ngx_zertiban_pairs_t;


/*
 * ngx_zertiban_pairs_create() makes an empty set in memory of "pool", which
 * has room for a file if it is to have one; ngx_zertiban_pairs_copy() one that
 * has the pairs of another one's file.  They return NULL if there is no memory.
 *
 * ngx_zertiban_pairs_add() adds a pair, whose strings have to stay, as the
 * last one; its secret was written then, or 0.  Returns NGX_OK; NGX_DECLINED
 * if it was there; NGX_ABORT if there are too many; NGX_ERROR if OpenSSL has
 * failed.
 */

ngx_zertiban_pairs_t *ngx_zertiban_pairs_create(ngx_pool_t *pool,
    ngx_str_t *file);
ngx_zertiban_pairs_t *ngx_zertiban_pairs_copy(ngx_pool_t *pool,
    ngx_zertiban_pairs_t *pairs);
ngx_int_t ngx_zertiban_pairs_add(ngx_zertiban_pairs_t *pairs, ngx_str_t *id,
    ngx_str_t *secret, time_t written);

/*
 * Reads pairs->file: lines of a client id, a secret, and perhaps a date, the
 * best first.  If that is not possible what was read before stays.  It is not
 * to be called while an exchange is in flight.
 *
 * Returns
 *     NGX_OK        pairs->changed is 1 if they are not those from before
 *     NGX_DECLINED  it cannot be opened or read, see ngx_errno
 *     NGX_ERROR     what it is, or holds, is of no use
 *
 * and for the latter two a text in "err", whose data is
 * NGX_ZERTIBAN_PAIRS_ERROR bytes of the caller: the call that has failed, or
 * what goes on after the name of the file.  It never has a part of a secret.
 */

ngx_int_t ngx_zertiban_pairs_read(ngx_zertiban_pairs_t *pairs, ngx_str_t *err);

/*
 * The pairs in "len" bytes at "buf", to which the list points.  Returns NGX_OK,
 * or NGX_ERROR and a text in "err", as above.
 */

ngx_int_t ngx_zertiban_pairs_parse(ngx_zertiban_pair_list_t *list, u_char *buf,
    size_t len, ngx_str_t *err);

/* whether that may be something else than what was read last */

ngx_uint_t ngx_zertiban_pairs_stale(ngx_zertiban_pairs_t *pairs);

/* stands for the file that was read last, or could not be */

ngx_zertiban_tag_t ngx_zertiban_pairs_seen(ngx_zertiban_pairs_t *pairs);

/* days from today to a pair's last one, negative if that is past; UTC */

ngx_int_t ngx_zertiban_pair_days(ngx_zertiban_pair_t *pair);


/* the place in the list of the pair that is being tried */

#define ngx_zertiban_pairs_tried(pairs)                                       \
    ((pairs)->attempts.order[(pairs)->attempts.next - 1])


#endif /* _NGX_ZERTIBAN_PAIRS_H_INCLUDED_ */
