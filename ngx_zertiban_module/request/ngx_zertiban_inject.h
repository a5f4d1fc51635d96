
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_INJECT_H_INCLUDED_
#define _NGX_ZERTIBAN_INJECT_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Puts the module's functions in the place of those of ctx->upstream, which is
 * there and has built no request.  They stay as long as the upstream, and see
 * that its request carries the token of ctx->credential and ctx->tenant.
 */

void ngx_zertiban_inject(ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_INJECT_H_INCLUDED_ */
