
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_FORM_H_INCLUDED_
#define _NGX_ZERTIBAN_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_ZERTIBAN_FORM_MAX  1024     /* bytes, of a body */


/*
 * Copies the body, which was read, to r->pool.  Returns NGX_OK; NGX_DECLINED if
 * it is too long; NGX_ERROR if it cannot be read, or there is no memory.
 */

ngx_int_t ngx_zertiban_form_body(ngx_http_request_t *r, ngx_str_t *body);

/*
 * The value of a field of application/x-www-form-urlencoded, decoded, in memory
 * of "pool"; the last one if there are several.  Returns NGX_OK, NGX_DECLINED
 * if there is none, NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_form_field(ngx_pool_t *pool, ngx_str_t *body,
    ngx_str_t *name, ngx_str_t *value);

/* whether a browser says that a page of another site has sent the request */

ngx_uint_t ngx_zertiban_form_foreign(ngx_http_request_t *r);

/* the value of a header of the request, or NULL */

ngx_str_t *ngx_zertiban_form_header(ngx_http_request_t *r, char *name);


#endif /* _NGX_ZERTIBAN_FORM_H_INCLUDED_ */
