
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the rooms that a request passes through share.
 */


#ifndef _NGX_ZERTIBAN_H_INCLUDED_
#define _NGX_ZERTIBAN_H_INCLUDED_


#include "ngx_zertiban_conf.h"


typedef struct ngx_zertiban_hold_s  ngx_zertiban_hold_t;


/* one pass of a request through the gate; of r->pool */

typedef struct {
    ngx_zertiban_credential_t        *credential;
    ngx_str_t                         tenant;

    ngx_int_t                       (*create_request)(ngx_http_request_t *r);
    ngx_http_client_body_handler_pt   post_handler;   /* behind the body */

    ngx_zertiban_hold_t              *hold;
    ngx_msec_t                        wait_time;      /* ms */
    ngx_zertiban_error_e              error;

    unsigned                          waited:1;
    unsigned                          upstream:1;     /* one was created */
} ngx_zertiban_ctx_t;


extern ngx_module_t  ngx_zertiban_module;


#endif /* _NGX_ZERTIBAN_H_INCLUDED_ */
