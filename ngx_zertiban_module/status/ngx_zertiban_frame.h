
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_FRAME_H_INCLUDED_
#define _NGX_ZERTIBAN_FRAME_H_INCLUDED_


#include "ngx_zertiban_out.h"


/*
 * Finds out the hash of the style, for ngx_zertiban_frame_policy, when a
 * configuration is loaded.  NGX_ERROR if OpenSSL has failed.
 */

ngx_int_t ngx_zertiban_frame_init(void);

/* the value of Content-Security-Policy */

extern ngx_str_t  ngx_zertiban_frame_policy;

/*
 * Write what a page begins with, up to its headline, and ends with; "title" is
 * escaped, "refresh" is s, or 0.
 */

void ngx_zertiban_frame_head(ngx_zertiban_out_t *out, ngx_str_t *title,
    ngx_uint_t refresh);
void ngx_zertiban_frame_tail(ngx_zertiban_out_t *out);

/* write for people: a time, ms; a number; a moment, UTC */

void ngx_zertiban_frame_span(ngx_zertiban_out_t *out, ngx_msec_t msec);
void ngx_zertiban_frame_number(ngx_zertiban_out_t *out, ngx_uint_t n);
void ngx_zertiban_frame_date(ngx_zertiban_out_t *out, time_t t);


#endif /* _NGX_ZERTIBAN_FRAME_H_INCLUDED_ */
