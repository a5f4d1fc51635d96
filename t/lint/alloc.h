
/*
 * What gcc's analyzer cannot know of nginx: where memory comes from, and how
 * it has to go.
 */


#ifndef _ALLOC_H_INCLUDED_
#define _ALLOC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


void *ngx_alloc(size_t size, ngx_log_t *log)
    __attribute__((malloc, malloc(free, 1)));
void *ngx_calloc(size_t size, ngx_log_t *log)
    __attribute__((malloc, malloc(free, 1)));
ngx_pool_t *ngx_create_pool(size_t size, ngx_log_t *log)
    __attribute__((malloc, malloc(ngx_destroy_pool, 1)));


#endif /* _ALLOC_H_INCLUDED_ */
