
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_TOKEN_H_INCLUDED_
#define _NGX_ZERTIBAN_TOKEN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_error.h"


#define NGX_ZERTIBAN_TOKEN_MAX         16384
#define NGX_ZERTIBAN_LIFETIME_DEFAULT  300             /* s */
#define NGX_ZERTIBAN_LIFETIME_MAX      31536000        /* s, one year */
#define NGX_ZERTIBAN_REASON_MAX        200


/* of an answer with a token; some send 201, as if it were a new resource */

#define ngx_zertiban_token_status(status)  ((status) == 200 || (status) == 201)


/* what became of an exchange */

typedef struct {
    ngx_zertiban_error_e    error;

    ngx_str_t               token;        /* NGX_ZERTIBAN_OK only */
    time_t                  lifetime;     /* s */

    ngx_uint_t              status;       /* of the answer, 0 without one */
    ngx_uint_t              refused;      /* the client id or its secret is */
    time_t                  retry_after;  /* s, -1 without one */
    time_t                  date;         /* of the endpoint's clock, or -1 */
    time_t                  age;          /* s, of a token that a gateway has
                                             shared, and to its next one; -1
                                             if it was none */
    time_t                  next;

    ngx_str_t               reason;       /* for the log, never secret */
    ngx_str_t               code;         /* "error" of RFC 6749, 5.2 */
    ngx_str_t               description;  /* "error_description" of that */

    u_char                  code_data[NGX_ZERTIBAN_REASON_MAX];
    u_char                  description_data[NGX_ZERTIBAN_REASON_MAX];
} ngx_zertiban_verdict_t;


/*
 * Judges an answer of the token endpoint by its status and body: RFC 6749,
 * sections 5.1 and 5.2.  body[len] must be writable.  The token is decoded in
 * place: verdict->token points into "body".  verdict->retry_after, date, age
 * and next are left alone.  NGX_ZERTIBAN_BUSY says that there was no memory.
 * An "error" or "error_description" that repeats the token, or one of "n"
 * secrets, which are not empty, is not shown.
 */

void ngx_zertiban_token_parse(ngx_uint_t status, u_char *body, size_t len,
    ngx_str_t *secrets, ngx_uint_t n, ngx_zertiban_verdict_t *verdict);

/* whether "text" has one of "n" secrets in it */

ngx_uint_t ngx_zertiban_token_secret(ngx_str_t *text, ngx_str_t *secrets,
    ngx_uint_t n);


/* of no answer yet */

#define ngx_zertiban_verdict_init(v)                                          \
    ngx_memzero(v, sizeof(ngx_zertiban_verdict_t));                           \
    (v)->retry_after = -1;                                                    \
    (v)->date = -1;                                                           \
    (v)->age = -1;                                                            \
    (v)->next = -1

#define ngx_zertiban_verdict_set(v, e, text)                                  \
    (v)->error = e;                                                           \
    ngx_str_set(&(v)->reason, text)


#endif /* _NGX_ZERTIBAN_TOKEN_H_INCLUDED_ */
