
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_GATE_H_INCLUDED_
#define _NGX_ZERTIBAN_GATE_H_INCLUDED_


#include "ngx_zertiban.h"


/* the content handler of gated locations */

ngx_int_t ngx_zertiban_handler(ngx_http_request_t *r);

/*
 * The last pass of the request through the gate, also if a redirect has
 * followed it; NULL if it was never there.
 */

ngx_zertiban_ctx_t *ngx_zertiban_get_ctx(ngx_http_request_t *r);

/* ms, also while the request still waits */

ngx_msec_t ngx_zertiban_wait_time(ngx_zertiban_ctx_t *ctx);

/* as in $zertiban_error, a static string */

ngx_str_t *ngx_zertiban_error_name(ngx_zertiban_error_e error);


#endif /* _NGX_ZERTIBAN_GATE_H_INCLUDED_ */
