
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CLIENT_H_INCLUDED_
#define _NGX_ZERTIBAN_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_zertiban_endpoint.h"
#include "ngx_zertiban_ssl.h"
#include "ngx_zertiban_token.h"


/* where a token is asked for, and how; lives as long as the cycle */

typedef struct {
    ngx_zertiban_endpoint_t    *endpoint;
    ngx_zertiban_ssl_conf_t     ssl;
    ngx_resolver_t             *resolver;       /* NULL without one */
    ngx_msec_t                  resolver_timeout;
    ngx_msec_t                  timeout;
} ngx_zertiban_client_conf_t;


/*
 * Called once for an exchange, last: the client is gone when it returns, and
 * so is what verdict->token, code and reason point to.  "sent" is the value of
 * ngx_current_msec when the request was sent.
 */

typedef void (*ngx_zertiban_client_pt)(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);


/*
 * Starts one exchange with the token endpoint on the event loop of this
 * worker; the client owns all its memory.  It ends within conf->timeout, ms.
 * What nginx would log on the way is kept, and its last line becomes the
 * verdict's reason: the caller decides what is worth a line.
 *
 * Returns NGX_OK, and "handler" will be called or has been already; NGX_ERROR
 * if there is no memory, and it never will.
 */

ngx_int_t ngx_zertiban_client_start(ngx_zertiban_client_conf_t *conf,
    ngx_str_t *id, ngx_str_t *secret, ngx_str_t *scope,
    ngx_zertiban_client_pt handler, void *data);


#endif /* _NGX_ZERTIBAN_CLIENT_H_INCLUDED_ */
