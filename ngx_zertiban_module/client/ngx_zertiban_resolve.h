
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_RESOLVE_H_INCLUDED_
#define _NGX_ZERTIBAN_RESOLVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * "rc" is NGX_OK; NGX_ERROR, and then rs->log has the reason; or NGX_DECLINED
 * if this worker could not ask
 */

typedef void (*ngx_zertiban_resolve_pt)(void *data, ngx_int_t rc);


typedef struct {
    ngx_resolver_t             *resolver;
    ngx_msec_t                  timeout;        /* ms */
    ngx_str_t                   host;
    in_port_t                   port;

    ngx_pool_t                 *pool;
    ngx_log_t                  *log;

    ngx_zertiban_resolve_pt     handler;
    void                       *data;

    ngx_addr_t                 *addrs;          /* of "pool", with the port */
    ngx_uint_t                  naddrs;

    ngx_resolver_ctx_t         *ctx;
} ngx_zertiban_resolve_t;


/*
 * Looks rs->host up and calls rs->handler once, perhaps before it returns:
 * what "rs" is a part of may be gone then.
 */

void ngx_zertiban_resolve_start(ngx_zertiban_resolve_t *rs);

/* whether the look-up that is in flight could be sent to any server */

ngx_uint_t ngx_zertiban_resolve_asked(ngx_zertiban_resolve_t *rs);

/* ends a look-up whose result is not wanted any more, if there is one */

void ngx_zertiban_resolve_cancel(ngx_zertiban_resolve_t *rs);


#endif /* _NGX_ZERTIBAN_RESOLVE_H_INCLUDED_ */
