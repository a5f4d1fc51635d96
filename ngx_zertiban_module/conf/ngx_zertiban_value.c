
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Values with variables.  Most of these are one variable and nothing else, and
 * need neither a script nor a copy.
 */


#include "ngx_zertiban_value.h"


static ngx_int_t ngx_zertiban_value_index(ngx_zertiban_value_t *value);


ngx_zertiban_value_t *
ngx_zertiban_value_create(ngx_conf_t *cf)
{
    ngx_str_t             *args;
    ngx_zertiban_value_t  *value;

    value = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_value_t));
    if (value == NULL) {
        return NULL;
    }

    args = cf->args->elts;

    value->index = NGX_ERROR;
    value->directive = args[0];

    ngx_zertiban_place_set(&value->place, cf);

    return value;
}


char *
ngx_zertiban_value_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                          *args;
    ngx_zertiban_value_t               *value, **vp;
    ngx_http_compile_complex_value_t    ccv;

    vp = (ngx_zertiban_value_t **) (p + cmd->offset);

    if (*vp != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = ngx_zertiban_value_create(cf);
    if (value == NULL) {
        return NGX_CONF_ERROR;
    }

    args = cf->args->elts;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &args[1];
    ccv.complex_value = &value->complex;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value->index = ngx_zertiban_value_index(value);

    *vp = value;

    return NGX_CONF_OK;
}


/* "$name" or "${name}" */

static ngx_int_t
ngx_zertiban_value_index(ngx_zertiban_value_t *value)
{
    size_t       i;
    ngx_str_t    name;
    ngx_uint_t  *flushes;

    flushes = value->complex.flushes;
    name = value->complex.value;

    /* a capture such as "$1" has no index */

    if (flushes == NULL || flushes[1] != (ngx_uint_t) -1) {
        return NGX_ERROR;
    }

    if (name.len == 0 || name.data[0] != '$') {
        return NGX_ERROR;
    }

    name.data++;
    name.len--;

    if (name.len > 2
        && name.data[0] == '{'
        && name.data[name.len - 1] == '}')
    {
        name.data++;
        name.len -= 2;
    }

    for (i = 0; i < name.len; i++) {
        if (!ngx_zertiban_value_name_char(name.data[i])) {
            return NGX_ERROR;
        }
    }

    return (ngx_int_t) flushes[0];
}


ngx_int_t
ngx_zertiban_value_syntax(ngx_str_t *value)
{
    u_char     *p, *end, *name;
    ngx_int_t   rc;
    ngx_uint_t  bracket;

    rc = NGX_OK;
    p = value->data;
    end = value->data + value->len;

    while (p < end) {

        if (*p++ != '$') {
            continue;
        }

        if (p < end && *p >= '1' && *p <= '9') {
            rc = NGX_DECLINED;
            p++;
            continue;
        }

        bracket = (p < end && *p == '{');

        if (bracket) {
            p++;
        }

        for (name = p; p < end; p++) {

            if (!ngx_zertiban_value_name_char(*p)) {
                break;
            }
        }

        if (p == name) {
            return NGX_ERROR;
        }

        if (bracket && (p == end || *p++ != '}')) {
            return NGX_ERROR;
        }
    }

    return rc;
}


ngx_int_t
ngx_zertiban_value_evaluate(ngx_http_request_t *r, ngx_zertiban_value_t *value,
    ngx_str_t *s)
{
    ngx_http_variable_value_t  *v;

    if (value->index == NGX_ERROR) {
        return ngx_http_complex_value(r, &value->complex, s);
    }

    v = ngx_http_get_flushed_variable(r, (ngx_uint_t) value->index);

    if (v == NULL || v->not_found) {
        ngx_str_null(s);
        return NGX_OK;
    }

    s->len = v->len;
    s->data = v->data;

    return NGX_OK;
}
