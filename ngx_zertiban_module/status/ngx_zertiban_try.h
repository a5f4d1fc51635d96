
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_TRY_H_INCLUDED_
#define _NGX_ZERTIBAN_TRY_H_INCLUDED_


#include "ngx_zertiban_conf.h"


/*
 * The content handler for POST of a location that shows the status: has a token
 * asked for now, and answers with what has become of that.
 */

ngx_int_t ngx_zertiban_try_handler(ngx_http_request_t *r);

/*
 * Whether the request may do so: it is of this machine, or the location has
 * access control, which it has passed.
 */

ngx_uint_t ngx_zertiban_try_allowed(ngx_http_request_t *r);


#endif /* _NGX_ZERTIBAN_TRY_H_INCLUDED_ */
