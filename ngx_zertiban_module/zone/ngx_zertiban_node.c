
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The nodes of the shared zone, and its memory: who gets a piece of it, and who
 * goes for that.
 */


#include "ngx_zertiban_node.h"


#define NGX_ZERTIBAN_SAY  10000     /* ms, between lines of the log */


static void ngx_zertiban_node_use(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);
static ngx_zertiban_node_t *ngx_zertiban_node_create(ngx_zertiban_zone_t *zone,
    u_char *key);
static void *ngx_zertiban_node_piece(ngx_zertiban_zone_t *zone);
static ngx_int_t ngx_zertiban_node_resize(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, size_t len);
static ngx_int_t ngx_zertiban_node_grow(ngx_zertiban_zone_t *zone,
    ngx_zertiban_piece_t **last, ngx_uint_t n, ngx_zertiban_node_t *keep);
static ngx_int_t ngx_zertiban_node_room(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_uint_t n, ngx_uint_t nheld);
static ngx_uint_t ngx_zertiban_node_enough(ngx_zertiban_zone_t *zone,
    ngx_uint_t n, ngx_zertiban_node_t *keep);
static ngx_uint_t ngx_zertiban_node_count(ngx_zertiban_zone_t *zone,
    ngx_queue_t *nodes, ngx_uint_t n, ngx_uint_t each,
    ngx_zertiban_node_t *keep);
static ngx_zertiban_node_t *ngx_zertiban_node_oldest(ngx_zertiban_zone_t *zone,
    ngx_queue_t *nodes, ngx_zertiban_node_t *keep);
static ngx_uint_t ngx_zertiban_node_may_go(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node, ngx_zertiban_node_t *keep);
static u_char *ngx_zertiban_node_append(ngx_zertiban_piece_t **piece,
    u_char *p, ngx_str_t *s);
static void ngx_zertiban_node_cut(ngx_zertiban_zone_t *zone,
    ngx_zertiban_piece_t **last);
static ngx_int_t ngx_zertiban_node_evict_for_node(ngx_zertiban_zone_t *zone);
static ngx_int_t ngx_zertiban_node_evict_state(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *keep);
static ngx_int_t ngx_zertiban_node_evict_token(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *keep);
static void ngx_zertiban_node_said(ngx_zertiban_zone_t *zone);
static void ngx_zertiban_node_free(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);
static void ngx_zertiban_node_forget(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *node);


#define ngx_zertiban_node_pieces(len)                                         \
    (((len) + NGX_ZERTIBAN_PIECE_LEN - 1) / NGX_ZERTIBAN_PIECE_LEN)

#define ngx_zertiban_node_of(q)                                               \
    ngx_queue_data(q, ngx_zertiban_node_t, queue)


ngx_zertiban_node_t *
ngx_zertiban_node_find(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_str_t  str;

    str.len = NGX_ZERTIBAN_KEY_LEN;
    str.data = key;

    return (ngx_zertiban_node_t *) ngx_str_rbtree_lookup(&zone->sh->rbtree,
                                           &str, ngx_zertiban_node_hash(key));
}


ngx_zertiban_node_t *
ngx_zertiban_node_get(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_node_t *seen)
{
    ngx_zertiban_node_t  *node;

    /*
     * what has become of its memory since is zeroed, another node, or a part
     * of a token, which is no pointer, or it is a chain's, to the next piece
     */

    if (seen && seen->sn.str.data == seen->key
        && ngx_memcmp(seen->key, key, NGX_ZERTIBAN_KEY_LEN) == 0)
    {
        node = seen;

    } else {
        node = ngx_zertiban_node_find(zone, key);
    }

    if (node == NULL) {
        return ngx_zertiban_node_create(zone, key);
    }

    ngx_zertiban_node_use(zone, node);

    return node;
}


static void
ngx_zertiban_node_use(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    ngx_queue_remove(&node->queue);
    ngx_queue_insert_head(node->value ? &zone->sh->tokens : &zone->sh->states,
                          &node->queue);
}


/* the key is a digest: any part of it is a hash */

uint32_t
ngx_zertiban_node_hash(u_char *key)
{
    uint32_t  hash;

    ngx_memcpy(&hash, key, sizeof(uint32_t));

    return hash;
}


static ngx_zertiban_node_t *
ngx_zertiban_node_create(ngx_zertiban_zone_t *zone, u_char *key)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_piece(zone);
    if (node == NULL) {
        return NULL;
    }

    ngx_memcpy(node->key, key, NGX_ZERTIBAN_KEY_LEN);

    node->sn.str.len = NGX_ZERTIBAN_KEY_LEN;
    node->sn.str.data = node->key;
    node->sn.node.key = ngx_zertiban_node_hash(key);

    ngx_rbtree_insert(&zone->sh->rbtree, &node->sn.node);
    ngx_queue_insert_head(&zone->sh->states, &node->queue);

    zone->sh->nodes++;

    return node;
}


ngx_zertiban_tries_t *
ngx_zertiban_node_tries(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    if (node->tries == NULL) {
        node->tries = ngx_zertiban_node_piece(zone);
    }

    return node->tries;
}


/* zeroed, for what is known of a credential; NULL if nothing may go for it */

static void *
ngx_zertiban_node_piece(ngx_zertiban_zone_t *zone)
{
    void  *p;

    for ( ;; ) {

        p = ngx_zertiban_shm_alloc(zone);

        if (p) {
            ngx_memzero(p, NGX_ZERTIBAN_PIECE);
            return p;
        }

        if (ngx_zertiban_node_evict_for_node(zone) != NGX_OK) {
            return NULL;
        }
    }
}


ngx_int_t
ngx_zertiban_node_set(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_str_t *scheme, ngx_str_t *token)
{
    u_char                *p;
    ngx_zertiban_piece_t  *piece;

    if (ngx_zertiban_node_resize(zone, node, scheme->len + token->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    piece = node->value;

    p = ngx_zertiban_node_append(&piece, piece->data, scheme);
    (void) ngx_zertiban_node_append(&piece, p, token);

    ngx_memory_barrier();
    node->generation = ++zone->sh->generation;

    if (node->pinned < zone->pins) {
        ngx_zertiban_node_forget(zone, node);
    }

    return NGX_OK;
}


/* without a generation there is no token, rather than a half of one */

static ngx_int_t
ngx_zertiban_node_resize(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    size_t len)
{
    ngx_uint_t              i, n, had;
    ngx_zertiban_piece_t  **last;

    n = ngx_zertiban_node_pieces(len);
    had = node->value ? ngx_zertiban_node_pieces(node->len) : 0;

    last = &node->value;

    for (i = 0; i < ngx_min(n, had); i++) {
        last = &(*last)->next;
    }

    if (n > had
        && ngx_zertiban_node_grow(zone, last, n - had, node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    node->generation = 0;
    ngx_memory_barrier();

    if (n < had) {
        ngx_zertiban_node_cut(zone, last);
    }

    node->len = len;

    zone->sh->held += had ? n - had : n + 1;

    ngx_zertiban_node_use(zone, node);

    return NGX_OK;
}


/* allocates "n" more pieces at "last", all of them or none */

static ngx_int_t
ngx_zertiban_node_grow(ngx_zertiban_zone_t *zone, ngx_zertiban_piece_t **last,
    ngx_uint_t n, ngx_zertiban_node_t *keep)
{
    ngx_zertiban_piece_t  *piece, *pieces;

    if (ngx_zertiban_node_room(zone, keep, n, keep->value ? n : n + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the node stays what it is until all of them are there */

    pieces = NULL;

    while (n) {

        piece = ngx_zertiban_shm_alloc(zone);

        if (piece) {
            piece->next = pieces;
            pieces = piece;
            n--;
            continue;
        }

        /* what has no token is first, up to its reserve */

        if (ngx_zertiban_node_evict_state(zone, keep) != NGX_OK
            && ngx_zertiban_node_evict_token(zone, keep) != NGX_OK)
        {
            ngx_zertiban_node_cut(zone, &pieces);
            return NGX_ERROR;
        }
    }

    *last = pieces;

    return NGX_OK;
}


/*
 * Tokens go for one that needs "n" pieces and so will hold "nheld" more, unless
 * the zone could not keep it even so.  Then it may have what is free, and if it
 * is pinned, what has no token.
 */

static ngx_int_t
ngx_zertiban_node_room(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_uint_t n, ngx_uint_t nheld)
{
    ngx_uint_t           max, over, left, fits;
    ngx_zertiban_shm_t  *sh;

    sh = zone->sh;
    max = sh->pieces - NGX_ZERTIBAN_RESERVE(sh);

    over = (sh->held + nheld <= max) ? 0 : sh->held + nheld - max;
    left = (sh->taken + n <= sh->pieces) ? 0 : sh->taken + n - sh->pieces;

    fits = (ngx_zertiban_node_count(zone, &sh->tokens, over, 1, node) >= over);

    if (left
        && ((!fits && node->pinned < zone->pins)
            || !ngx_zertiban_node_enough(zone, left, node)))
    {
        return NGX_ERROR;
    }

    while (fits && sh->held + nheld > max) {
        (void) ngx_zertiban_node_evict_token(zone, node);
    }

    return NGX_OK;
}


/* whether "n" pieces come free if all goes that may; "keep" stays */

static ngx_uint_t
ngx_zertiban_node_enough(ngx_zertiban_zone_t *zone, ngx_uint_t n,
    ngx_zertiban_node_t *keep)
{
    ngx_uint_t           found;
    ngx_zertiban_shm_t  *sh;

    sh = zone->sh;

    found = ngx_zertiban_node_count(zone, &sh->tokens, n, 0, keep);

    return found >= n
           || ngx_zertiban_node_count(zone, &sh->states, n - found, 1, keep)
              >= n - found;
}


/*
 * The pieces of what may go, that unused for longest first, until there are
 * "n"; each node counts as "each" more.
 */

static ngx_uint_t
ngx_zertiban_node_count(ngx_zertiban_zone_t *zone, ngx_queue_t *nodes,
    ngx_uint_t n, ngx_uint_t each, ngx_zertiban_node_t *keep)
{
    ngx_uint_t            found;
    ngx_queue_t          *q;
    ngx_zertiban_node_t  *node;

    found = 0;

    for (q = ngx_queue_last(nodes);
         q != ngx_queue_sentinel(nodes) && found < n;
         q = ngx_queue_prev(q))
    {
        node = ngx_zertiban_node_of(q);

        if (ngx_zertiban_node_may_go(zone, node, keep)) {
            found += ngx_zertiban_node_pieces(node->len) + each;
        }
    }

    return found;
}


/* what may go and was unused for longest, or NULL */

static ngx_zertiban_node_t *
ngx_zertiban_node_oldest(ngx_zertiban_zone_t *zone, ngx_queue_t *nodes,
    ngx_zertiban_node_t *keep)
{
    ngx_queue_t          *q, *first;
    ngx_zertiban_node_t  *node;

    first = ngx_queue_head(nodes);

    while (!ngx_queue_empty(nodes)) {

        q = ngx_queue_last(nodes);
        node = ngx_zertiban_node_of(q);

        if (ngx_zertiban_node_may_go(zone, node, keep)) {
            return node;
        }

        if (q == first) {
            break;
        }

        /* the next one who looks need not look at it again */

        ngx_zertiban_node_use(zone, node);
    }

    return NULL;
}


/* a token may, and leaves its node for an exchange that is in flight */

static ngx_uint_t
ngx_zertiban_node_may_go(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_zertiban_node_t *keep)
{
    return node != keep
           && node->pinned < zone->pins
           && (node->value
               || node->lease == 0
               || !ngx_zertiban_before(ngx_current_msec, node->deadline));
}


static u_char *
ngx_zertiban_node_append(ngx_zertiban_piece_t **piece, u_char *p, ngx_str_t *s)
{
    size_t   n;
    u_char  *data, *last, *end;

    data = s->data;
    last = s->data + s->len;

    while (data < last) {

        end = (*piece)->data + NGX_ZERTIBAN_PIECE_LEN;

        if (p == end) {
            *piece = (*piece)->next;
            p = (*piece)->data;
            continue;
        }

        n = ngx_min(last - data, end - p);

        p = ngx_cpymem(p, data, n);
        data += n;
    }

    return p;
}


void
ngx_zertiban_node_copy(ngx_zertiban_node_t *node, u_char *p)
{
    size_t                 n, len;
    ngx_zertiban_piece_t  *piece;

    for (piece = node->value, len = node->len; len; piece = piece->next) {

        n = ngx_min(len, NGX_ZERTIBAN_PIECE_LEN);

        p = ngx_cpymem(p, piece->data, n);
        len -= n;
    }
}


void
ngx_zertiban_node_clear(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    if (node->value == NULL) {
        return;
    }

    node->generation = 0;
    ngx_memory_barrier();

    zone->sh->held -= ngx_zertiban_node_pieces(node->len) + 1;

    ngx_zertiban_node_cut(zone, &node->value);
    node->len = 0;

    ngx_zertiban_node_use(zone, node);

    if (node->lease && !node->fetching) {
        node->fetching = 1;
        zone->sh->fetching++;
    }
}


/* frees the end of a chain */

static void
ngx_zertiban_node_cut(ngx_zertiban_zone_t *zone, ngx_zertiban_piece_t **last)
{
    ngx_zertiban_piece_t  *piece, *next;

    for (piece = *last; piece; piece = next) {
        next = piece->next;
        ngx_zertiban_shm_free(zone, piece);
    }

    *last = NULL;
}


void
ngx_zertiban_node_lease(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node,
    ngx_msec_t deadline)
{
    ngx_zertiban_node_end(zone, node);

    node->lease = ++zone->sh->lease;
    node->owner = ngx_pid;
    node->started = ngx_current_msec;
    node->deadline = deadline;
    node->wanted = 0;

    if (!ngx_zertiban_node_valid(node)) {
        node->fetching = 1;
        zone->sh->fetching++;
    }
}


void
ngx_zertiban_node_end(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    if (node->lease == 0) {
        return;
    }

    if (node->fetching) {
        node->fetching = 0;
        zone->sh->fetching--;
    }

    node->lease = 0;
    node->ended++;
}


ngx_uint_t
ngx_zertiban_node_leased(ngx_zertiban_node_t *node)
{
    if (node->lease == 0
        || !ngx_zertiban_before(ngx_current_msec, node->deadline))
    {
        return 0;
    }

    /* the deadline covers a process id that was given to another process */

    return node->owner == ngx_pid
           || kill(node->owner, 0) == 0
           || ngx_errno != NGX_ESRCH;
}


/*
 * A token is never evicted for a credential without one if there are many of
 * these, all with an exchange in flight: these have the reserve.
 */

static ngx_int_t
ngx_zertiban_node_evict_for_node(ngx_zertiban_zone_t *zone)
{
    ngx_zertiban_shm_t  *sh;

    sh = zone->sh;

    if (sh->held > sh->pieces - NGX_ZERTIBAN_RESERVE(sh)
        && ngx_zertiban_node_evict_token(zone, NULL) == NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_zertiban_node_evict_state(zone, NULL) == NGX_OK) {
        return NGX_OK;
    }

    if (sh->fetching >= NGX_ZERTIBAN_RESERVE(sh)) {
        return NGX_ERROR;
    }

    return ngx_zertiban_node_evict_token(zone, NULL);
}


static ngx_int_t
ngx_zertiban_node_evict_state(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *keep)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_oldest(zone, &zone->sh->states, keep);

    if (node == NULL) {
        return NGX_ERROR;
    }

    ngx_zertiban_node_free(zone, node);

    return NGX_OK;
}


/* what follows from delays and exchanges in flight is kept */

static ngx_int_t
ngx_zertiban_node_evict_token(ngx_zertiban_zone_t *zone,
    ngx_zertiban_node_t *keep)
{
    ngx_zertiban_node_t  *node;

    node = ngx_zertiban_node_oldest(zone, &zone->sh->tokens, keep);

    if (node == NULL) {
        return NGX_ERROR;
    }

    if (ngx_zertiban_node_valid(node)) {
        ngx_zertiban_node_said(zone);
    }

    ngx_zertiban_node_clear(zone, node);

    if (node->lease == 0
        && !ngx_zertiban_node_delayed(node)
        && !ngx_zertiban_node_spaced(node))
    {
        ngx_zertiban_node_free(zone, node);
    }

    return NGX_OK;
}


/* a token is evicted that has not expired: by whoever releases the mutex */

static void
ngx_zertiban_node_said(ngx_zertiban_zone_t *zone)
{
    ngx_zertiban_shm_t  *sh;

    sh = zone->sh;

    sh->evicted++;
    sh->evictions++;
    sh->ledger.evicted = ngx_time();

    if (sh->said
        && ngx_zertiban_before(ngx_current_msec, sh->said + NGX_ZERTIBAN_SAY))
    {
        return;
    }

    zone->evicted = sh->evicted;

    sh->evicted = 0;
    sh->said = ngx_current_msec;
}


static void
ngx_zertiban_node_free(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    ngx_zertiban_node_end(zone, node);

    ngx_rbtree_delete(&zone->sh->rbtree, &node->sn.node);
    ngx_queue_remove(&node->queue);

    if (node->tries) {
        ngx_zertiban_shm_free(zone, node->tries);
    }

    ngx_zertiban_node_forget(zone, node);

    ngx_zertiban_shm_free(zone, node);

    zone->sh->nodes--;
}


static void
ngx_zertiban_node_forget(ngx_zertiban_zone_t *zone, ngx_zertiban_node_t *node)
{
    if (node->trouble) {
        ngx_zertiban_shm_free(zone, node->trouble);
        node->trouble = NULL;
    }
}
