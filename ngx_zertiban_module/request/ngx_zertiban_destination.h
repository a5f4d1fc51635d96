
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_DESTINATION_H_INCLUDED_
#define _NGX_ZERTIBAN_DESTINATION_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * At configuration time: all locations that lead upstream are added, those with
 * a gate and those without, and when all directives are merged
 * ngx_zertiban_destination_init() sets zlcf->trust of those with a gate.  Where
 * a token certainly goes nowhere it warns.
 */

ngx_int_t ngx_zertiban_destination_create(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);
ngx_int_t ngx_zertiban_destination_add(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *zlcf, ngx_uint_t gated);
void ngx_zertiban_destination_init(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);

/* logs that a request was refused for NGX_ZERTIBAN_TRUST_NONE */

void ngx_zertiban_destination_refused(ngx_http_request_t *r,
    ngx_zertiban_loc_conf_t *zlcf);

/* for ngx_zertiban_destination_check() */

ngx_int_t ngx_zertiban_destination_judge(ngx_zertiban_ctx_t *ctx);


/*
 * Whether the token may be sent over the connection of ctx->upstream, which is
 * there, with TLS if it has any.  Returns NGX_OK, or NGX_DECLINED if it was
 * logged why not.
 */

static ngx_inline ngx_int_t
ngx_zertiban_destination_check(ngx_zertiban_ctx_t *ctx)
{
    ngx_peer_connection_t  *pc;

    pc = &ctx->upstream->peer;

    if (ctx->trust == NGX_ZERTIBAN_TRUST_ALL
        || (ctx->trust == NGX_ZERTIBAN_TRUST_TLS && pc->connection->ssl))
    {
        return NGX_OK;
    }

    if (ngx_zertiban_endpoint_local(pc->sockaddr)) {
        return NGX_OK;
    }

    return ngx_zertiban_destination_judge(ctx);
}


#endif /* _NGX_ZERTIBAN_DESTINATION_H_INCLUDED_ */
