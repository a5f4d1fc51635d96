
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What gateways that share a token tell each other of it, in headers.
 */


#ifndef _NGX_ZERTIBAN_MARK_H_INCLUDED_
#define _NGX_ZERTIBAN_MARK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how old it is, and when there will be another one, s: with the token */

#define NGX_ZERTIBAN_TOKEN_AGE      "Zertiban-Token-Age"
#define NGX_ZERTIBAN_TOKEN_NEXT     "Zertiban-Token-Next"

/* the mark of one that the API has refused: with the request for another one */

#define NGX_ZERTIBAN_TOKEN_REFUSED  "Zertiban-Token-Refused"

/* of one that it may have refused, which stays in use until then */

#define NGX_ZERTIBAN_TOKEN_DOUBTED  "Zertiban-Token-Doubted"


/* a part of a digest, which ngx_hextoi() can read; 0 is none */

typedef uint64_t  ngx_zertiban_mark_t;

#define NGX_ZERTIBAN_MARK_LEN     16
#define NGX_ZERTIBAN_MARK_FORMAT  "%016xL"
#define NGX_ZERTIBAN_MARK_MASK    0x7fffffffffffffff

/* with the mark of a token that is doubted, within a process */

#define NGX_ZERTIBAN_MARK_DOUBT   0x8000000000000000


#endif /* _NGX_ZERTIBAN_MARK_H_INCLUDED_ */
