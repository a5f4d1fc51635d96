
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Looking a host up at run time.
 */


#include "ngx_zertiban_resolve.h"
#include "ngx_zertiban_compat.h"


static void ngx_zertiban_resolve_handler(ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_zertiban_resolve_copy(ngx_zertiban_resolve_t *rs,
    ngx_resolver_ctx_t *ctx);


void
ngx_zertiban_resolve_start(ngx_zertiban_resolve_t *rs)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(rs->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        rs->handler(rs->data, NGX_DECLINED);
        return;
    }

    ctx->name = rs->host;
    ctx->handler = ngx_zertiban_resolve_handler;
    ctx->data = rs;
    ctx->timeout = rs->timeout;
    ctx->cancelable = 1;

    rs->ctx = ctx;

    /* the handler may be called, and "rs" be gone, before it returns NGX_OK */

    if (ngx_resolve_name(ctx) != NGX_OK) {

        /* it has freed the context */

        rs->ctx = NULL;
        rs->handler(rs->data, NGX_DECLINED);
    }
}


/* ngx_resolver_send_query() keeps to itself that there is no socket */

ngx_uint_t
ngx_zertiban_resolve_asked(ngx_zertiban_resolve_t *rs)
{
    return ngx_zertiban_resolver_asked(rs->resolver);
}


static void
ngx_zertiban_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_zertiban_resolve_t  *rs;

    rs = ctx->data;

    if (ctx->state == NGX_RESOLVE_TIMEDOUT && !ngx_zertiban_resolve_asked(rs)) {
        rc = NGX_DECLINED;

    } else if (ctx->state) {
        ngx_log_error(NGX_LOG_ERR, rs->log, 0,
                      "%V could not be resolved (%i: %s)",
                      &ctx->name, ctx->state,
                      ngx_resolver_strerror(ctx->state));
        rc = NGX_ERROR;

    } else {
        rc = ngx_zertiban_resolve_copy(rs, ctx);
    }

    ngx_zertiban_resolve_cancel(rs);

    rs->handler(rs->data, rc);
}


/* the resolver's addresses go with its context */

static ngx_int_t
ngx_zertiban_resolve_copy(ngx_zertiban_resolve_t *rs, ngx_resolver_ctx_t *ctx)
{
    u_char           *p;
    socklen_t         socklen;
    ngx_addr_t       *addr;
    ngx_uint_t        i;
    struct sockaddr  *sockaddr;

    addr = ngx_pcalloc(rs->pool, ctx->naddrs * sizeof(ngx_addr_t));
    if (addr == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < ctx->naddrs; i++) {

        socklen = ctx->addrs[i].socklen;

        sockaddr = ngx_palloc(rs->pool, socklen);
        if (sockaddr == NULL) {
            return NGX_DECLINED;
        }

        ngx_memcpy(sockaddr, ctx->addrs[i].sockaddr, socklen);
        ngx_inet_set_port(sockaddr, rs->port);

        p = ngx_pnalloc(rs->pool, NGX_SOCKADDR_STRLEN);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        addr[i].sockaddr = sockaddr;
        addr[i].socklen = socklen;
        addr[i].name.len = ngx_sock_ntop(sockaddr, socklen, p,
                                         NGX_SOCKADDR_STRLEN, 1);
        addr[i].name.data = p;
    }

    rs->addrs = addr;
    rs->naddrs = ctx->naddrs;

    return NGX_OK;
}


void
ngx_zertiban_resolve_cancel(ngx_zertiban_resolve_t *rs)
{
    if (rs->ctx) {
        ngx_resolve_name_done(rs->ctx);
        rs->ctx = NULL;
    }
}
