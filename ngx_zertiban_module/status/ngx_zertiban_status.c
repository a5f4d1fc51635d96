
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The location that tells how the tokens are, to programs and to people.
 */


#include "ngx_zertiban_status.h"
#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_gather.h"
#include "ngx_zertiban_json.h"
#include "ngx_zertiban_names.h"
#include "ngx_zertiban_page.h"
#include "ngx_zertiban_prometheus.h"
#include "ngx_zertiban_try.h"


#define NGX_ZERTIBAN_STATUS_MAX       100
#define NGX_ZERTIBAN_STATUS_LIMIT     10000


static ngx_int_t ngx_zertiban_status_format(ngx_zertiban_loc_conf_t *zlcf,
    ngx_str_t *value);
static ngx_int_t ngx_zertiban_status_handler(ngx_http_request_t *r);
static void ngx_zertiban_status_answer(ngx_http_request_t *r,
    ngx_zertiban_model_t *model);
static ngx_uint_t ngx_zertiban_status_ready(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);


static ngx_conf_enum_t  ngx_zertiban_status_formats[] = {
    { ngx_string("json"), NGX_ZERTIBAN_STATUS_JSON },
    { ngx_string("prometheus"), NGX_ZERTIBAN_STATUS_PROMETHEUS },
    { ngx_string("html"), NGX_ZERTIBAN_STATUS_HTML },
    { ngx_string("ready"), NGX_ZERTIBAN_STATUS_READY },
    { ngx_null_string, 0 }
};


char *
ngx_zertiban_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_int_t                  max;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (zlcf->status) {
        return "is duplicate";
    }

    value = cf->args->elts;
    max = NGX_ERROR;

    for (i = 1; i < cf->args->nelts; i++) {

        if (max == NGX_ERROR && ngx_strncmp(value[i].data, "max=", 4) == 0) {

            max = ngx_atoi(value[i].data + 4, value[i].len - 4);

            if (max == NGX_ERROR || max > NGX_ZERTIBAN_STATUS_LIMIT) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" has an invalid parameter \"%V\": "
                                   "\"max\" is a number of credentials from "
                                   "0 to 10000", &value[0], &value[i]);
                return NGX_CONF_ERROR;
            }

        } else if (ngx_zertiban_status_format(zlcf, &value[i]) != NGX_OK) {

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" has an invalid parameter \"%V\": use "
                               "one of \"json\", \"prometheus\", \"html\" "
                               "and \"ready\", and \"max=number\"",
                               &value[0], &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (zlcf->status == NGX_ZERTIBAN_STATUS_NONE) {
        zlcf->status = NGX_ZERTIBAN_STATUS_JSON;
    }

    zlcf->status_max = (max == NGX_ERROR) ? NGX_ZERTIBAN_STATUS_MAX : max;
    ngx_zertiban_place_set(&zlcf->status_place, cf);

    /* also in the place of a handler that was set before, and gated */

    zlcf->handler = NULL;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_zertiban_status_handler;

    return NGX_CONF_OK;
}


/* there is one */

static ngx_int_t
ngx_zertiban_status_format(ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *value)
{
    ngx_conf_enum_t  *e;

    if (zlcf->status) {
        return NGX_ERROR;
    }

    for (e = ngx_zertiban_status_formats; e->name.len; e++) {

        if (e->name.len == value->len
            && ngx_strcmp(e->name.data, value->data) == 0)
        {
            zlcf->status = (ngx_zertiban_status_e) e->value;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


void
ngx_zertiban_status_merge(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->status == NGX_ZERTIBAN_STATUS_NONE && clcf->noname) {
        conf->status = prev->status;
        conf->status_max = prev->status_max;
    }

    /* "if" keeps the content handler, "limit_except" has none */

    if (conf->status && clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_zertiban_status_handler;
    }
}


static ngx_int_t
ngx_zertiban_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_zertiban_gather_e     what;
    ngx_zertiban_loc_conf_t  *zlcf;

    static ngx_str_t  methods = ngx_string("GET, HEAD, POST");

    if (r->method == NGX_HTTP_POST) {
        return ngx_zertiban_try_handler(r);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_zertiban_answer_method(r, &methods);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    what = NGX_ZERTIBAN_GATHER_ALL;

    switch (zlcf->status) {

    case NGX_ZERTIBAN_STATUS_READY:
        what = NGX_ZERTIBAN_GATHER_NAMED;
        break;

    case NGX_ZERTIBAN_STATUS_PROMETHEUS:
        what = NGX_ZERTIBAN_GATHER_COUNTS;
        break;

    case NGX_ZERTIBAN_STATUS_NONE:
    case NGX_ZERTIBAN_STATUS_JSON:
    case NGX_ZERTIBAN_STATUS_HTML:
        break;
    }

    rc = ngx_zertiban_gather(r, what, zlcf->status_max,
                             ngx_zertiban_status_answer);

    return (rc == NGX_ERROR) ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
}


static void
ngx_zertiban_status_answer(ngx_http_request_t *r, ngx_zertiban_model_t *model)
{
    ngx_uint_t                status;
    ngx_zertiban_out_t        out;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    status = NGX_HTTP_OK;

    switch (zlcf->status) {

    case NGX_ZERTIBAN_STATUS_PROMETHEUS:
        ngx_zertiban_prometheus(&out, model);
        break;

    case NGX_ZERTIBAN_STATUS_HTML:
        ngx_zertiban_page(&out, model, ngx_zertiban_try_allowed(r));
        break;

    case NGX_ZERTIBAN_STATUS_READY:
        status = ngx_zertiban_status_ready(&out, model);
        break;

    case NGX_ZERTIBAN_STATUS_NONE:
    case NGX_ZERTIBAN_STATUS_JSON:
        ngx_zertiban_json(&out, model);
        break;
    }

    r->headers_out.status = status;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_zertiban_gate_retry_after(r, model->next) != NGX_OK)
    {
        out.failed = 1;
    }

    ngx_http_finalize_request(r, ngx_zertiban_answer(r, zlcf->status, &out));
}


/* a line for each that lacks a token */

static ngx_uint_t
ngx_zertiban_status_ready(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_uint_t  i;

    if (model->down == 0) {
        ngx_zertiban_out_text(out, "ready\n");
        return NGX_HTTP_OK;
    }

    ngx_zertiban_out(out, "not ready: %ui of %ui credentials without a token\n",
                     model->down, model->named);

    for (i = 0; i < model->n; i++) {

        if (!model->entries[i]->survey.token) {
            ngx_zertiban_out_fingerprint(out, model->entries[i]->survey.key);
            ngx_zertiban_out_text(out, "\n");
        }
    }

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}
