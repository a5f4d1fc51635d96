
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_REPLAY_H_INCLUDED_
#define _NGX_ZERTIBAN_REPLAY_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * Watches the answers of r->upstream, which has just been created.  When the
 * API says 401 the token of ctx->generation is dropped; if the request can be
 * replayed, its upstream is finalized, and ctx->again is called for the posted
 * request, with one reference of it and no ctx->post_handler.
 */

void ngx_zertiban_replay_watch(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_REPLAY_H_INCLUDED_ */
