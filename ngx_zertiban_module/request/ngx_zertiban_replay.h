
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_REPLAY_H_INCLUDED_
#define _NGX_ZERTIBAN_REPLAY_H_INCLUDED_


#include "ngx_zertiban.h"


/*
 * The answer is 401: drops the token that was sent, and takes the request back
 * for a replay, if that is safe.  Returns what u->process_header() is to.
 */

ngx_int_t ngx_zertiban_replay(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx);

/*
 * The upstream of a request with a body is finalized with 502: if its server
 * has cut the connection before it answered, that may have been a 401.
 */

void ngx_zertiban_replay_lost(ngx_zertiban_ctx_t *ctx);


#endif /* _NGX_ZERTIBAN_REPLAY_H_INCLUDED_ */
