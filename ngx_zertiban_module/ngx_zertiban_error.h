
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Why there is no token.  The values are kept in shared memory, so a change
 * of them is a change of NGX_ZERTIBAN_ZONE_LAYOUT.
 */


#ifndef _NGX_ZERTIBAN_ERROR_H_INCLUDED_
#define _NGX_ZERTIBAN_ERROR_H_INCLUDED_


typedef enum {
    NGX_ZERTIBAN_OK = 0,

    /* the token endpoint */

    NGX_ZERTIBAN_IDP_UNREACHABLE,
    NGX_ZERTIBAN_IDP_REJECTED_CLIENT,
    NGX_ZERTIBAN_IDP_BAD_RESPONSE,
    NGX_ZERTIBAN_IDP_RATE_LIMITED,
    NGX_ZERTIBAN_IDP_TIMEOUT,

    /* the request, the zone, the worker */

    NGX_ZERTIBAN_BAD_TENANT,
    NGX_ZERTIBAN_BAD_CREDENTIAL,
    NGX_ZERTIBAN_ZONE_FULL,
    NGX_ZERTIBAN_BUSY,

    /* the server that a token would be sent to */

    NGX_ZERTIBAN_UPSTREAM_REFUSED
} ngx_zertiban_error_e;

#define NGX_ZERTIBAN_ERRORS  (NGX_ZERTIBAN_UPSTREAM_REFUSED + 1)


#endif /* _NGX_ZERTIBAN_ERROR_H_INCLUDED_ */
