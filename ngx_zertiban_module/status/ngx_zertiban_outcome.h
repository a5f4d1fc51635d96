
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_OUTCOME_H_INCLUDED_
#define _NGX_ZERTIBAN_OUTCOME_H_INCLUDED_


#include "ngx_zertiban_conf.h"


/* what has become of a credential that was tried */

typedef struct {
    ngx_zertiban_credential_t  *credential;
    ngx_zertiban_error_e        error;
    ngx_msec_t                  delay;          /* ms; 0: an exchange has ended,
                                                   or there was none to be */
    char                       *reason;         /* NULL: that of the exchange */
} ngx_zertiban_tried_t;


/*
 * Answer the request, whose body has been read or discarded, as HTML or JSON:
 * with the outcome, or why there will be none, which goes on after "the
 * request".  They return what finalizes the request.
 */

ngx_int_t ngx_zertiban_outcome(ngx_http_request_t *r,
    ngx_zertiban_tried_t *tried);
ngx_int_t ngx_zertiban_outcome_refused(ngx_http_request_t *r,
    ngx_uint_t status, char *text);


#endif /* _NGX_ZERTIBAN_OUTCOME_H_INCLUDED_ */
