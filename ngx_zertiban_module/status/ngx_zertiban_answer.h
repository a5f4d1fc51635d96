
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ANSWER_H_INCLUDED_
#define _NGX_ZERTIBAN_ANSWER_H_INCLUDED_


#include "ngx_zertiban_conf.h"
#include "ngx_zertiban_out.h"


/*
 * Sends "out", which is in that format, with r->headers_out.status and what all
 * answers have in common.  Returns what finalizes the request.
 */

ngx_int_t ngx_zertiban_answer(ngx_http_request_t *r,
    ngx_zertiban_status_e format, ngx_zertiban_out_t *out);

/*
 * Adds a header to the answer: "name" and the value have to stay.  Returns
 * NGX_OK, or NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_answer_header(ngx_http_request_t *r, char *name,
    ngx_str_t *value);

/*
 * Of a method that is none of "methods", which the answer names.  Returns what
 * finalizes the request.
 */

ngx_int_t ngx_zertiban_answer_method(ngx_http_request_t *r, ngx_str_t *methods);

/*
 * While the answer is not there, a client that leaves takes its request with
 * it.  Returns NGX_OK, or NGX_ERROR if the client cannot be watched.
 */

ngx_int_t ngx_zertiban_answer_watch(ngx_http_request_t *r);


#endif /* _NGX_ZERTIBAN_ANSWER_H_INCLUDED_ */
