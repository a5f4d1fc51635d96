
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the rooms that a request passes through share.
 */


#ifndef _NGX_ZERTIBAN_H_INCLUDED_
#define _NGX_ZERTIBAN_H_INCLUDED_


#include "ngx_zertiban_conf.h"


typedef struct ngx_zertiban_wait_s  ngx_zertiban_wait_t;


/* one pass of a request through the gate; of r->pool */

typedef struct ngx_zertiban_ctx_s  ngx_zertiban_ctx_t;

struct ngx_zertiban_ctx_s {
    ngx_http_request_t               *request;
    ngx_zertiban_ctx_t               *prev;           /* of any request that
                                                         shares r->variables */
    ngx_zertiban_credential_t        *credential;
    ngx_str_t                         tenant;

    ngx_int_t                       (*create_request)(ngx_http_request_t *r);
    ngx_int_t                       (*reinit_request)(ngx_http_request_t *r);
    ngx_int_t                       (*process_header)(ngx_http_request_t *r);
    ngx_http_event_handler_pt         post_handler;   /* where it goes on */
    ngx_http_event_handler_pt         again;          /* with a token */

    ngx_atomic_uint_t                 generation;     /* of the token sent */

    ngx_zertiban_wait_t              *wait;
    ngx_msec_t                        wait_time;      /* ms */
    ngx_zertiban_error_e              error;

    unsigned                          held:1;         /* the credential */
    unsigned                          waited:1;
    unsigned                          upstream:1;     /* one was created */
    unsigned                          built:1;        /* its request, too */
    unsigned                          replayed:1;
    unsigned                          hinted:1;       /* a 103 was sent */
};


extern ngx_module_t  ngx_zertiban_module;


#endif /* _NGX_ZERTIBAN_H_INCLUDED_ */
