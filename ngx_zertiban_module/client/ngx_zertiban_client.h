
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CLIENT_H_INCLUDED_
#define _NGX_ZERTIBAN_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_zertiban_endpoint.h"
#include "ngx_zertiban_mark.h"
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


typedef struct ngx_zertiban_client_s  ngx_zertiban_client_t;


/*
 * Called once for an exchange, last: the client is gone when it returns, and
 * so is what verdict->token, code and reason point to.  "sent" is the value of
 * ngx_current_msec when the request was sent.  Without a verdict the exchange
 * was given up, for nginx closes all connections of the worker.
 */

typedef void (*ngx_zertiban_client_pt)(void *data,
    ngx_zertiban_verdict_t *verdict, ngx_msec_t sent);


/*
 * Makes a client for one exchange with the token endpoint, on the event loop
 * of this worker; it owns all its memory.  It ends within "timeout", ms, after
 * ngx_zertiban_client_start(), which may call "handler" itself.  The first one
 * of "n" secrets is sent; all of them stay what and where they are until then,
 * and no answer that repeats one is shown.  "refused" is the mark of a token
 * that the API has refused, or may have, with NGX_ZERTIBAN_MARK_DOUBT, or 0.
 * No timer of the client holds a worker that is shutting down.
 *
 * What nginx would log on the way is kept, and its last line becomes the
 * verdict's reason: the caller decides what is worth a line.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_client_t *ngx_zertiban_client_create(
    ngx_zertiban_client_conf_t *conf, ngx_str_t *id, ngx_str_t *secrets,
    ngx_uint_t n, ngx_str_t *scope, ngx_zertiban_mark_t refused,
    ngx_zertiban_client_pt handler, void *data);

void ngx_zertiban_client_start(ngx_zertiban_client_t *cl, ngx_msec_t timeout);

/* ends a client that has been started; its handler is not called */

void ngx_zertiban_client_abort(ngx_zertiban_client_t *cl);


#endif /* _NGX_ZERTIBAN_CLIENT_H_INCLUDED_ */
