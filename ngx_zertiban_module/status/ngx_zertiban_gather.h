
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_GATHER_H_INCLUDED_
#define _NGX_ZERTIBAN_GATHER_H_INCLUDED_


#include "ngx_zertiban_model.h"


/* which credentials of the zone are shown, and counted */

typedef enum {
    NGX_ZERTIBAN_GATHER_NAMED = 0,      /* those that the configuration names */
    NGX_ZERTIBAN_GATHER_COUNTS,         /* the others are counted, too, */
    NGX_ZERTIBAN_GATHER_ALL             /* or shown */
} ngx_zertiban_gather_e;


typedef void (*ngx_zertiban_gather_pt)(ngx_http_request_t *r,
    ngx_zertiban_model_t *model);


/*
 * Calls "handler" with a model of at most "max" entries, those in need of
 * attention first of all.  While it goes through many credentials the worker
 * does other things as well; the request is held until then, and finalized by
 * the handler in any case.
 *
 * Returns NGX_DONE, or NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_gather(ngx_http_request_t *r,
    ngx_zertiban_gather_e what, ngx_uint_t max,
    ngx_zertiban_gather_pt handler);


#endif /* _NGX_ZERTIBAN_GATHER_H_INCLUDED_ */
