
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_GATE_H_INCLUDED_
#define _NGX_ZERTIBAN_GATE_H_INCLUDED_


#include "ngx_zertiban.h"


/* the content handler of gated locations */

ngx_int_t ngx_zertiban_handler(ngx_http_request_t *r);

/*
 * For a request whose body was read, and that leads to no upstream: "answer" is
 * called when there is a token, which is credential->copy's while it runs.
 * Returns what finalizes the request.
 */

ngx_int_t ngx_zertiban_gate_answer(ngx_http_request_t *r,
    ngx_zertiban_pass_pt answer);

/*
 * The tenant that a request of the location acts for.  Returns NGX_OK, or
 * NGX_ERROR if it cannot be used: it is empty then.
 */

ngx_int_t ngx_zertiban_gate_tenant(ngx_http_request_t *r,
    ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *tenant);

/* as in $zertiban_error, a static string */

ngx_str_t *ngx_zertiban_error_name(ngx_zertiban_error_e error);

/*
 * Sets the header "Retry-After" to a delay, ms, which is told in seconds, at
 * least one.  NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_gate_retry_after(ngx_http_request_t *r,
    ngx_msec_t delay);

/* of the answer to a request that is refused for it */

ngx_int_t ngx_zertiban_error_status(ngx_zertiban_error_e error);


#endif /* _NGX_ZERTIBAN_GATE_H_INCLUDED_ */
