
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * This worker's copies of tokens.  What is in the zone can be copied again, so
 * they are as few as are in use.
 */


#include "ngx_zertiban_copy.h"


#define NGX_ZERTIBAN_COPY_ALIGN  ((size_t) 256)

#define ngx_zertiban_copy_size(size)                                          \
    ngx_align(size, NGX_ZERTIBAN_COPY_ALIGN)

#define ngx_zertiban_copies_last(copies)                                      \
    ngx_queue_data(ngx_queue_last(&(copies)->queue), ngx_zertiban_copy_t,     \
                   queue)


static ngx_zertiban_copy_t *ngx_zertiban_copy_reuse(
    ngx_zertiban_copies_t *copies, size_t size);
static ngx_zertiban_copy_t *ngx_zertiban_copy_alloc(
    ngx_zertiban_copies_t *copies, size_t size);


void
ngx_zertiban_copies_init(ngx_zertiban_copies_t *copies)
{
    ngx_queue_init(&copies->queue);
    copies->size = 0;
}


ngx_int_t
ngx_zertiban_copy_get(ngx_zertiban_copies_t *copies,
    ngx_zertiban_copy_t **owner, size_t size)
{
    ngx_zertiban_copy_t  *copy;

    copy = *owner;

    if (copy && copy->size >= size) {
        ngx_queue_remove(&copy->queue);

    } else {
        ngx_zertiban_copy_free(copies, owner);

        copy = ngx_zertiban_copy_reuse(copies, size);

        if (copy == NULL) {
            copy = ngx_zertiban_copy_alloc(copies,
                                           ngx_zertiban_copy_size(size));
        }

        if (copy == NULL) {
            return NGX_ERROR;
        }

        copy->owner = owner;
        copy->generation = 0;
        copy->usable = ngx_current_msec;
        copy->value.len = 0;

        *owner = copy;
    }

    ngx_queue_insert_head(&copies->queue, &copy->queue);

    copy->seen = ngx_current_msec;

    return NGX_OK;
}


/* the memory of one that goes, if there are too many; most are of one size */

static ngx_zertiban_copy_t *
ngx_zertiban_copy_reuse(ngx_zertiban_copies_t *copies, size_t size)
{
    size_t                aligned;
    ngx_zertiban_copy_t  *copy;

    aligned = ngx_zertiban_copy_size(size);

    while (copies->size + aligned > NGX_ZERTIBAN_COPIES_MAX
           && !ngx_queue_empty(&copies->queue))
    {
        copy = ngx_zertiban_copies_last(copies);

        if (copy->size != aligned) {
            ngx_zertiban_copy_free(copies, copy->owner);
            continue;
        }

        ngx_queue_remove(&copy->queue);

        *copy->owner = NULL;

        /* the rest is overwritten, or wiped when it is freed */

        ngx_explicit_memzero(copy->value.data + size, aligned - size);

        return copy;
    }

    return NULL;
}


static ngx_zertiban_copy_t *
ngx_zertiban_copy_alloc(ngx_zertiban_copies_t *copies, size_t size)
{
    ngx_zertiban_copy_t  *copy;

    copy = ngx_alloc(sizeof(ngx_zertiban_copy_t) + size, ngx_cycle->log);
    if (copy == NULL) {
        return NULL;
    }

    copy->value.data = (u_char *) copy + sizeof(ngx_zertiban_copy_t);
    copy->size = size;

    copies->size += size;

    return copy;
}


void
ngx_zertiban_copy_free(ngx_zertiban_copies_t *copies,
    ngx_zertiban_copy_t **owner)
{
    ngx_zertiban_copy_t  *copy;

    copy = *owner;

    if (copy == NULL) {
        return;
    }

    *owner = NULL;

    ngx_queue_remove(&copy->queue);
    copies->size -= copy->size;

    ngx_explicit_memzero(copy->value.data, copy->size);
    ngx_free(copy);
}


void
ngx_zertiban_copies_expire(ngx_zertiban_copies_t *copies, ngx_msec_t seen)
{
    ngx_zertiban_copy_t  *copy;

    while (!ngx_queue_empty(&copies->queue)) {

        copy = ngx_zertiban_copies_last(copies);

        if ((ngx_msec_int_t) (copy->seen - seen) >= 0) {
            return;
        }

        ngx_zertiban_copy_free(copies, copy->owner);
    }
}
