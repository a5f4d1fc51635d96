
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The $zertiban_... variables.
 */


#include "ngx_zertiban_variables.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_pass.h"
#include "ngx_zertiban_wait.h"


static ngx_int_t ngx_zertiban_variable_cache(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_zertiban_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_zertiban_variable_tenant_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_zertiban_variable_wait_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_zertiban_variable_none(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_zertiban_variable_set(ngx_http_variable_value_t *v,
    u_char *data, size_t len);


static ngx_http_variable_t  ngx_zertiban_variables[] = {

    { ngx_string("zertiban_cache"), NULL,
      ngx_zertiban_variable_cache, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("zertiban_error"), NULL,
      ngx_zertiban_variable_error, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("zertiban_tenant_id"), NULL,
      ngx_zertiban_variable_tenant_id, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("zertiban_wait_time"), NULL,
      ngx_zertiban_variable_wait_time, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* not a name that "$" could be followed by */

static ngx_str_t  ngx_zertiban_slot = ngx_string("zertiban passes");


ngx_int_t
ngx_zertiban_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t       *var, *v;
    ngx_zertiban_main_conf_t  *zmcf;

    for (v = ngx_zertiban_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    var = ngx_http_add_variable(cf, &ngx_zertiban_slot, 0);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_zertiban_variable_none;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    zmcf->ctx_index = ngx_http_get_variable_index(cf, &ngx_zertiban_slot);

    return (zmcf->ctx_index == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* ngx_http_get_variable_index() would make the variable */

ngx_int_t
ngx_zertiban_variable_index(ngx_cycle_t *cycle, char *name)
{
    size_t                      len;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    len = ngx_strlen(name);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (v[i].name.len == len
            && ngx_strncmp(v[i].name.data, name, len) == 0)
        {
            return (ngx_int_t) i;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_zertiban_variable_cache(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t            state;
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_last(r);

    if (ctx == NULL) {
        ngx_str_null(&state);

    } else if (ctx->error) {
        ngx_str_set(&state, "error");

    } else if (ctx->replayed) {
        ngx_str_set(&state, "replay");

    } else if (ctx->waited) {
        ngx_str_set(&state, "wait");

    } else {
        ngx_str_set(&state, "hit");
    }

    ngx_zertiban_variable_set(v, state.data, state.len);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t           *name;
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_last(r);

    name = ngx_zertiban_error_name(ctx ? ctx->error : NGX_ZERTIBAN_OK);

    ngx_zertiban_variable_set(v, name->data, name->len);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_variable_tenant_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                 tenant;
    ngx_zertiban_ctx_t       *ctx;
    ngx_zertiban_loc_conf_t  *zlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_zertiban_module);
    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    ngx_str_null(&tenant);

    if (ctx == NULL && zlcf->enable && zlcf->tenant_id) {

        /* before the gate: "limit_req_zone" may ask for it */

        (void) ngx_zertiban_gate_tenant(r, zlcf, &tenant);

    } else {
        ctx = ngx_zertiban_pass_last(r);

        if (ctx) {
            tenant = ctx->tenant;
        }
    }

    ngx_zertiban_variable_set(v, tenant.data, tenant.len);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_variable_wait_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char              *p;
    ngx_msec_t           msec;
    ngx_zertiban_ctx_t  *ctx;

    ctx = ngx_zertiban_pass_last(r);

    if (ctx == NULL) {
        ngx_zertiban_variable_set(v, NULL, 0);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    msec = ngx_zertiban_wait_time(ctx);

    ngx_zertiban_variable_set(v, p,
                              ngx_sprintf(p, "%T.%03M", (time_t) msec / 1000,
                                          msec % 1000)
                              - p);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_variable_none(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}


static void
ngx_zertiban_variable_set(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    if (len == 0) {
        v->not_found = 1;
        return;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->len = (unsigned) len;
    v->data = data;
}
