
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_COPY_H_INCLUDED_
#define _NGX_ZERTIBAN_COPY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* this worker's copies of tokens: a cache of at most NGX_ZERTIBAN_COPIES_MAX */

#define NGX_ZERTIBAN_COPIES_MAX  ((size_t) 8 << 20)


typedef struct {
    ngx_queue_t                 queue;          /* the last copied first */
    size_t                      size;           /* of all, bytes */
} ngx_zertiban_copies_t;


typedef struct ngx_zertiban_copy_s  ngx_zertiban_copy_t;

struct ngx_zertiban_copy_s {
    ngx_queue_t                 queue;
    ngx_zertiban_copy_t       **owner;          /* where it is kept */
    ngx_atomic_uint_t           generation;     /* 0: not of the zone */
    ngx_msec_t                  usable;         /* until then */
    ngx_msec_t                  seen;           /* copied */
    ngx_str_t                   value;          /* "Bearer <token>" */
    size_t                      size;           /* bytes at value.data */
};


/* there are none */

void ngx_zertiban_copies_init(ngx_zertiban_copies_t *copies);

/*
 * Sees that "*owner" is a copy with room for "size" bytes, and the one that was
 * copied last.  Others go for it, and their owners have NULL then, but none
 * that was got in this turn of the event loop.
 *
 * Returns NGX_OK, or NGX_ERROR if there is no memory: "*owner" is NULL.
 */

ngx_int_t ngx_zertiban_copy_get(ngx_zertiban_copies_t *copies,
    ngx_zertiban_copy_t **owner, size_t size);

/* wipes and frees "*owner", if it is not NULL, and sets it to NULL */

void ngx_zertiban_copy_free(ngx_zertiban_copies_t *copies,
    ngx_zertiban_copy_t **owner);

/* frees those that were copied last before "seen" */

void ngx_zertiban_copies_expire(ngx_zertiban_copies_t *copies,
    ngx_msec_t seen);


#endif /* _NGX_ZERTIBAN_COPY_H_INCLUDED_ */
