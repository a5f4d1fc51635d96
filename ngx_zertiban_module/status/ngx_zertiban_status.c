
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#include "ngx_zertiban_status.h"
#include "ngx_zertiban_try.h"


static ngx_int_t ngx_zertiban_status_handler(ngx_http_request_t *r);


char *
ngx_zertiban_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_zertiban_status_handler;

    zlcf->status = (cf->args->nelts > 1) ? NGX_ZERTIBAN_STATUS_HTML : NGX_ZERTIBAN_STATUS_JSON;
    ngx_zertiban_place_set(&zlcf->status_place, cf);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_zertiban_status_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_buf_t             *b;
    ngx_chain_t            cl;
    ngx_queue_t           *q;
    ngx_zertiban_main_conf_t *zmcf;
    ngx_zertiban_credential_t  *credential;

    if (r->method == NGX_HTTP_POST) {
        return ngx_zertiban_try_handler(r);
    }

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);
    b = ngx_create_temp_buf(r->pool, 4096);
    for (q = ngx_queue_head(&zmcf->credentials->pinned);
         q != ngx_queue_sentinel(&zmcf->credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);
        b->last = ngx_hex_dump(b->last, NGX_ZERTIBAN_FINGERPRINT(credential->key), 6);
        b->last = ngx_sprintf(b->last, " %V\n", &credential->identity.id);
    }
    b->last_buf = 1;
    cl.buf = b;
    cl.next = NULL;
    r->headers_out.status = 200;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    return ngx_http_output_filter(r, &cl);
}
