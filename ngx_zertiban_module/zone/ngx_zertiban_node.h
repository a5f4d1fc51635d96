
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_NODE_H_INCLUDED_
#define _NGX_ZERTIBAN_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_error.h"
#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_mark.h"
#include "ngx_zertiban_shm.h"
#include "ngx_zertiban_tries.h"


#define NGX_ZERTIBAN_SPACING  1000      /* ms between exchanges, at least */


/* a token is kept in a chain of these */

typedef struct ngx_zertiban_piece_s  ngx_zertiban_piece_t;

#define NGX_ZERTIBAN_PIECE_LEN  (NGX_ZERTIBAN_PIECE - sizeof(void *))

struct ngx_zertiban_piece_s {
    ngx_zertiban_piece_t       *next;
    u_char                      data[NGX_ZERTIBAN_PIECE_LEN];
};


/* why the last exchange that failed has; in one piece of the zone */

#define NGX_ZERTIBAN_TROUBLE_MAX  200

typedef struct {
    time_t                      time;           /* of this machine's clock */
    ngx_zertiban_error_e        error;
    ngx_uint_t                  status;         /* of the answer, or 0 */
    ngx_uint_t                  number;         /* so many there were */
    size_t                      len;
    u_char                      text[NGX_ZERTIBAN_TROUBLE_MAX];
} ngx_zertiban_trouble_t;


/*
 * What all workers know of a credential; in one piece, one for its tries, and
 * one for its trouble.
 *
 * A generation is never given again and looks like nothing else in the zone,
 * so "generation" may be read without the lock, even if the node is gone: if
 * it is the one that came with a copy of the token, the copy is current.
 * "ended" may be read as well, to see that it has changed.
 */

typedef struct {
    ngx_str_node_t              sn;             /* of "key" */
    ngx_queue_t                 queue;          /* in "tokens" or "states" */
    u_char                      key[NGX_ZERTIBAN_KEY_LEN];

    ngx_atomic_t                generation;     /* 0: no token */
    ngx_zertiban_piece_t       *value;          /* "Bearer <token>" */
    size_t                      len;
    ngx_msec_t                  obtained;
    ngx_msec_t                  usable;         /* until then */
    ngx_msec_t                  refresh;        /* from then on */
    ngx_zertiban_mark_t         mark;           /* if a gateway has shared it,
                                                   or 0; also when it has
                                                   gone */

    ngx_uint_t                  lease;          /* 0: no exchange in flight */
    ngx_pid_t                   owner;
    ngx_zertiban_error_e        error;          /* of the last failure */
    ngx_msec_t                  started;        /* 0: no spacing */
    ngx_msec_t                  deadline;
    ngx_msec_t                  wanted;         /* by others than those whose
                                                   exchange it is: 0, or when
                                                   seen last */
    ngx_atomic_t                ended;          /* so many exchanges */

    ngx_uint_t                  failures;       /* consecutive */
    ngx_msec_t                  retry;          /* not before */

    ngx_zertiban_tries_t       *tries;          /* if it has pairs */
    ngx_zertiban_trouble_t     *trouble;        /* NULL: none is known */

    unsigned                    fetching:1;     /* leased without a token */
    unsigned                    refused:1;      /* that of "mark" was, by the
                                                   API, */
    unsigned                    doubted:1;      /* or may have been */
    ngx_uint_t                  pinned;         /* by this configuration */
} ngx_zertiban_node_t;


/* this part of the zone is never taken from what has no token for one */

#define NGX_ZERTIBAN_RESERVE(sh)  ((sh)->pieces / 8)


/* the order of nodes in the tree begins with it */

uint32_t ngx_zertiban_node_hash(u_char *key);

/* all that follows is called with the slab pool's mutex held */

/* Finds the node of "key", or returns NULL. */

ngx_zertiban_node_t *ngx_zertiban_node_find(ngx_zertiban_zone_t *zone,
    u_char *key);

/*
 * Finds or makes the node of "key", of NGX_ZERTIBAN_KEY_LEN bytes, and makes
 * it the last used one.  "seen" is where it was, or NULL.  Returns NULL if the
 * zone is full.
 */

ngx_zertiban_node_t *ngx_zertiban_node_get(ngx_zertiban_zone_t *zone,
    u_char *key, ngx_zertiban_node_t *seen);

/*
 * Replaces the token of the node by the strings "scheme" and "token", with a
 * new generation; the caller sets how long it lives.  The tokens unused for
 * longest go for it, about as many bytes as it needs.
 *
 * Returns NGX_OK, or NGX_ERROR if the zone is full, and nothing was changed.
 */

ngx_int_t ngx_zertiban_node_set(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_str_t *scheme, ngx_str_t *token);

/* copies node->len bytes of the token */

void ngx_zertiban_node_copy(ngx_zertiban_node_t *node, u_char *p);

/* wipes the token; the node stays */

void ngx_zertiban_node_clear(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);

/* Makes node->tries, if there are none; returns NULL if the zone is full. */

ngx_zertiban_tries_t *ngx_zertiban_node_tries(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);

/*
 * Begin and end an exchange: node->lease is a number that was never given
 * before, or 0.
 */

void ngx_zertiban_node_lease(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_msec_t deadline);
void ngx_zertiban_node_end(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);

/* whether the node's exchange is in flight, in a process that lives */

ngx_uint_t ngx_zertiban_node_leased(ngx_zertiban_node_t *node);

/* whether there is a token that may be used now */

#define ngx_zertiban_node_valid(node)                                         \
    ((node)->generation                                                       \
     && ngx_zertiban_before(ngx_current_msec, (node)->usable))

/* whether there may be no exchange yet, after a failure or another one */

#define ngx_zertiban_node_delayed(node)                                       \
    ((node)->failures && ngx_zertiban_before(ngx_current_msec, (node)->retry))

#define ngx_zertiban_node_spaced(node)                                        \
    ((node)->started                                                          \
     && ngx_zertiban_before(ngx_current_msec,                                 \
                            (node)->started + NGX_ZERTIBAN_SPACING))


#endif /* _NGX_ZERTIBAN_NODE_H_INCLUDED_ */
