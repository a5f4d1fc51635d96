
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the rooms that a request passes through share.
 */


#ifndef _NGX_ZERTIBAN_H_INCLUDED_
#define _NGX_ZERTIBAN_H_INCLUDED_


#include "ngx_zertiban_conf.h"


typedef struct ngx_zertiban_wait_s  ngx_zertiban_wait_t;
typedef struct ngx_zertiban_ctx_s  ngx_zertiban_ctx_t;

/* a content handler for all passes, but for the first member of its name */

typedef ngx_int_t (*ngx_zertiban_pass_pt)(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);


/* the table of these and of what moves them is in docs/design.md */

typedef enum {
    NGX_ZERTIBAN_GATED = 0,         /* the content handler was not called */
    NGX_ZERTIBAN_WAITING,           /* for a token */
    NGX_ZERTIBAN_BUILDING,          /* there is an upstream, and no request
                                       of it: the body or the cache may be
                                       waited for */
    NGX_ZERTIBAN_SENT,              /* the upstream has the request, or had
                                       it */
    NGX_ZERTIBAN_REPLAYING,         /* taken back from the upstream */
    NGX_ZERTIBAN_DONE
} ngx_zertiban_state_e;


/* one pass of a request through the gate; of r->pool */

struct ngx_zertiban_ctx_s {
    ngx_zertiban_state_e              state;
    ngx_zertiban_error_e              error;
    ngx_zertiban_error_e              verdict;        /* what the pass will be
                                                         refused with */

    ngx_http_request_t               *request;
    ngx_zertiban_ctx_t               *prev;           /* of any request that
                                                         shares r->variables */
    ngx_zertiban_pass_pt              look;           /* for the token */
    ngx_zertiban_pass_pt              answer;         /* with it, instead of an
                                                         upstream */

    ngx_zertiban_credential_t        *credential;
    ngx_str_t                         tenant;

    ngx_zertiban_trust_e              trust;          /* of its location */
    ngx_atomic_uint_t                 generation;     /* of the token sent */
    ngx_msec_t                        usable;         /* until then */

    /* what is borrowed from nginx meanwhile: of "request" ... */

    ngx_http_event_handler_pt         read_event_handler;

    /* ... and of "upstream", which is NULL before there is one */

    ngx_http_upstream_t              *upstream;
    ngx_int_t                       (*create_request)(ngx_http_request_t *r);
    ngx_int_t                       (*reinit_request)(ngx_http_request_t *r);
    ngx_int_t                       (*process_header)(ngx_http_request_t *r);
    void                            (*finalize_request)(ngx_http_request_t *r,
                                                        ngx_int_t rc);
    ngx_output_chain_filter_pt        output_filter;
    void                             *output_ctx;

    ngx_zertiban_wait_t              *wait;
    ngx_msec_t                        wait_time;      /* ms */

    unsigned                          wrapped:1;      /* by zlcf->wrapper */
    unsigned                          held:1;         /* the credential */
    unsigned                          waited:1;
    unsigned                          uncounted:1;    /* what becomes of it */
    unsigned                          reading:1;      /* the body */
    unsigned                          output:1;       /* to this server */
    unsigned                          replayed:1;
    unsigned                          hinted:1;       /* a 103 was sent */
};


#endif /* _NGX_ZERTIBAN_H_INCLUDED_ */
