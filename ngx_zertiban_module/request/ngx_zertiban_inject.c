
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The headers are the upstream's only while it builds its request.
 */


#include "ngx_zertiban_inject.h"
#include "ngx_zertiban_headers.h"


static void ngx_zertiban_inject_check(ngx_http_request_t *r,
    ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *value);
static ngx_uint_t ngx_zertiban_inject_find(ngx_buf_t *b, ngx_str_t *value);


ngx_int_t
ngx_zertiban_inject(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_zertiban_copy_t       *copy;
    ngx_zertiban_headers_t     headers;
    ngx_zertiban_loc_conf_t   *zlcf;
    ngx_zertiban_main_conf_t  *zmcf;

    copy = &ctx->credential->copy;

    /*
     * the gate has looked in this turn of the event loop: other workers may
     * have dropped the token since, but it is not too late to use it
     */

    if (copy->generation == 0
        || !ngx_zertiban_before(ngx_current_msec, copy->usable))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the token has gone before the request was built");
        return NGX_ERROR;
    }

    ctx->generation = copy->generation;
    ctx->usable = copy->usable;

    zmcf = ngx_http_get_module_main_conf(r, ngx_zertiban_module);

    /* these variables are cached: the client's values are what they show */

    if (zmcf->authorization_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->authorization_index);
    }

    if (zmcf->tenant_index != NGX_ERROR) {
        (void) ngx_http_get_indexed_variable(r, zmcf->tenant_index);
    }

    if (ngx_zertiban_headers_inject(r, &headers, &copy->value, &ctx->tenant)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ctx->create_request(r);

    ngx_zertiban_headers_restore(r, &headers);

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (rc == NGX_OK && !zlcf->checked) {
        zlcf->checked = 1;
        ngx_zertiban_inject_check(r, zlcf, &copy->value);
    }

    return rc;
}


/* once for a location and worker: what an operator may have taken away */

static void
ngx_zertiban_inject_check(ngx_http_request_t *r, ngx_zertiban_loc_conf_t *zlcf,
    ngx_str_t *value)
{
    ngx_buf_t                 *b;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  preface = ngx_string("PRI * HTTP/2.0");

    if (r->upstream->request_bufs == NULL) {
        return;
    }

    b = r->upstream->request_bufs->buf;

    if ((size_t) (b->last - b->pos) >= preface.len
        && ngx_memcmp(b->pos, preface.data, preface.len) == 0)
    {
        /* the headers are compressed */
        return;
    }

    if (ngx_zertiban_inject_find(b, value)) {
        return;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the token is missing in requests of the location \"%V\": "
                  "\"Authorization\" is set there by \"proxy_set_header\" or "
                  "the like, or \"proxy_pass_request_headers\" or the like "
                  "is off", &clcf->name);
}


static ngx_uint_t
ngx_zertiban_inject_find(ngx_buf_t *b, ngx_str_t *value)
{
    u_char  *p;

    for (p = b->pos; (size_t) (b->last - p) >= value->len; p++) {
        if (ngx_memcmp(p, value->data, value->len) == 0) {
            return 1;
        }
    }

    return 0;
}
