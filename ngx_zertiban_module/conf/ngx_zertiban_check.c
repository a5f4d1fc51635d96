
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What can only be judged when more than one directive is known.
 */


#include "ngx_zertiban_check.h"
#include "ngx_zertiban_access.h"
#include "ngx_zertiban_secret.h"


static void ngx_zertiban_check_gates(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);
static ngx_int_t ngx_zertiban_check_variables(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);
static ngx_str_t *ngx_zertiban_check_value(ngx_conf_t *cf,
    ngx_zertiban_value_t *value);
static ngx_uint_t ngx_zertiban_check_known(ngx_http_core_main_conf_t *cmcf,
    ngx_str_t *name);


void
ngx_zertiban_check_merge(ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf)
{
    if (!conf->explicit) {
        conf->place = prev->place;
        conf->gate = prev->gate;
        return;
    }

    /* what is said again, or taken back, was of some effect */

    if (prev->gate) {
        prev->gate->proxied = 1;
    }
}


ngx_int_t
ngx_zertiban_check_gate(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    char                      *missing, *what;
    ngx_zertiban_ssl_conf_t   *ssl;
    ngx_http_core_loc_conf_t  *clcf;

    ssl = &conf->client.ssl;

    if (conf->client.endpoint == NULL) {
        missing = "zertiban_token_endpoint";

    } else if (conf->pairs == NULL && conf->client_id == NULL) {
        missing = "zertiban_client_id\" or \"zertiban_credentials_file";

    } else if (conf->pairs == NULL && conf->client_secret == NULL) {
        missing = "zertiban_client_secret\" or \"zertiban_client_secret_file";

    } else if (conf->tenant_id == NULL && conf->share == NULL) {
        missing = "zertiban_tenant_id";

    } else if (ssl->certificate.value.len
               && ssl->certificate_key.value.len == 0)
    {
        missing = "zertiban_ssl_certificate_key";

    } else if (ssl->certificate_key.value.len
               && ssl->certificate.value.len == 0)
    {
        missing = "zertiban_ssl_certificate";

    } else {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    what = conf->share ? "zertiban_share\" is" : "zertiban\" is on";

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s in the location \"%V\", but there is no \"%s\": set "
                  "it there or in a block around it, in %V:%ui",
                  what, &clcf->name, missing, &conf->place.file,
                  conf->place.line);

    return NGX_ERROR;
}


void
ngx_zertiban_check_pair(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    char                  *odd;
    ngx_zertiban_value_t  *secret;

    secret = conf->client_secret;

    if (secret == NULL || conf->client_id == NULL || secret->warned) {
        return;
    }

    if (!ngx_zertiban_value_literal(secret)
        || !ngx_zertiban_value_literal(conf->client_id))
    {
        return;
    }

    /* anything else has been said while the directive was read */

    if (ngx_zertiban_secret_odd(&secret->complex.value, NULL)) {
        return;
    }

    odd = ngx_zertiban_secret_odd(&secret->complex.value,
                                  &conf->client_id->complex.value);
    if (odd == NULL) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"%V\": the secret %s, write it without them, in %V:%ui",
                  &secret->directive, odd, &secret->place.file,
                  secret->place.line);

    secret->warned = 1;
}


ngx_int_t
ngx_zertiban_check_all(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_zertiban_check_gates(cf, zmcf);
    ngx_zertiban_access_check(cf, zmcf);

    return ngx_zertiban_check_variables(cf, zmcf);
}


static void
ngx_zertiban_check_gates(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_zertiban_loc_conf_t  *conf;

    for (conf = zmcf->gates; conf; conf = conf->next) {

        if (conf->proxied) {
            continue;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"zertiban\" is on, but has no effect: it is for "
                      "\"proxy_pass\", \"grpc_pass\", \"fastcgi_pass\", "
                      "\"uwsgi_pass\" and \"scgi_pass\", and its block has "
                      "none of these, in %V:%ui",
                      &conf->place.file, conf->place.line);
    }
}


static ngx_int_t
ngx_zertiban_check_variables(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_str_t             *name;
    ngx_zertiban_value_t  *value;

    for (value = zmcf->values; value; value = value->next) {

        name = ngx_zertiban_check_value(cf, value);

        if (name == NULL) {
            continue;
        }

        if (value->secret) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" has a \"$\" with no variable of nginx behind "
                          "it: put the secret into a file and name that with "
                          "\"zertiban_client_secret_file\", in %V:%ui",
                          &value->directive, &value->place.file,
                          value->place.line);
            return NGX_ERROR;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" has the unknown variable \"$%V\": define it, "
                      "with \"map\" for one, in %V:%ui",
                      &value->directive, name, &value->place.file,
                      value->place.line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the name of a variable that is not known, or NULL */

static ngx_str_t *
ngx_zertiban_check_value(ngx_conf_t *cf, ngx_zertiban_value_t *value)
{
    ngx_uint_t                 *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    index = value->complex.flushes;

    if (index == NULL) {
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    v = cmcf->variables.elts;

    for ( /* void */ ; *index != (ngx_uint_t) -1; index++) {

        if (!ngx_zertiban_check_known(cmcf, &v[*index].name)) {
            return &v[*index].name;
        }
    }

    return NULL;
}


/* as ngx_http_variables_init_vars() does, which runs after this */

static ngx_uint_t
ngx_zertiban_check_known(ngx_http_core_main_conf_t *cmcf, ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *pv;

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

        if (key[i].key.len == name->len
            && ngx_strncmp(key[i].key.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    pv = cmcf->prefix_variables.elts;

    for (i = 0; i < cmcf->prefix_variables.nelts; i++) {

        if (name->len >= pv[i].name.len
            && ngx_strncmp(name->data, pv[i].name.data, pv[i].name.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
