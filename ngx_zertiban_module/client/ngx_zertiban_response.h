
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_RESPONSE_H_INCLUDED_
#define _NGX_ZERTIBAN_RESPONSE_H_INCLUDED_


#include "ngx_zertiban_compat.h"


#define NGX_ZERTIBAN_RESPONSE_MAX  65536
#define NGX_ZERTIBAN_DELAY_MAX     300             /* s, of Retry-After */


typedef struct {
    ngx_buf_t              buf;           /* all that was received */

    ngx_uint_t             state;
    ngx_http_request_t    *request;       /* state of nginx's parsers */
    ngx_http_status_t      status;
    ngx_http_chunked_t     chunked_ctx;

    u_char                *body;          /* decoded in place */
    u_char                *body_last;

    off_t                  content_length;
    time_t                 retry_after;   /* s, -1 without one */
    time_t                 date;          /* of the server's clock, or -1 */
    time_t                 age;           /* s, of a gateway's token, and to
                                             its next one; -1 if it is none */
    time_t                 next;
    ngx_str_t              coding;        /* other than "identity" */

    char                  *err;           /* static */

    unsigned               chunked:1;
} ngx_zertiban_response_t;


/*
 * Makes a parser for one answer to a POST: HTTP/1.0 or 1.1, RFC 9112, at most
 * NGX_ZERTIBAN_RESPONSE_MAX bytes.  All memory is of "pool".  Needs no
 * connection and no event loop.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_response_t *ngx_zertiban_response_create(ngx_pool_t *pool,
    ngx_log_t *log);

/*
 * Goes on with what was added at rp->buf.last; "eof" says that nothing
 * will follow.
 *
 * Returns
 *     NGX_OK     the final answer is whole: status.code, body up to body_last,
 *                where a byte more may be written, retry_after, date, age,
 *                next and coding, which may be empty and has no data without
 *                one, are set
 *     NGX_AGAIN  more is to come, and there is room for it
 *     NGX_ERROR  rp->err says why it cannot be an answer
 */

ngx_int_t ngx_zertiban_response_parse(ngx_zertiban_response_t *rp,
    ngx_uint_t eof);

/*
 * Retry-After of RFC 9110, section 10.2.3: seconds from "now", at most
 * NGX_ZERTIBAN_DELAY_MAX, or -1 if the value is neither seconds nor a date.
 */

time_t ngx_zertiban_retry_after(u_char *value, size_t len, time_t now);


#endif /* _NGX_ZERTIBAN_RESPONSE_H_INCLUDED_ */
