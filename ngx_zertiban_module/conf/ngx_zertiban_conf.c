
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The directives, each judged where it stands.
 */


#include "ngx_zertiban_conf.h"
#include "ngx_zertiban_secret.h"


static ngx_uint_t ngx_zertiban_conf_uuid(ngx_str_t *value);
static char *ngx_zertiban_conf_verify(ngx_conf_t *cf, void *post, void *data);
static char *ngx_zertiban_conf_timeout(ngx_conf_t *cf, void *post, void *data);


ngx_conf_post_t  ngx_zertiban_conf_verify_post = { ngx_zertiban_conf_verify };
ngx_conf_post_t  ngx_zertiban_conf_timeout_post = { ngx_zertiban_conf_timeout };


char *
ngx_zertiban_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char  *rv;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK) {
        zlcf->explicit = 1;
        zlcf->place.file = cf->conf_file->file.name;
        zlcf->place.line = cf->conf_file->line;
    }

    return rv;
}


char *
ngx_zertiban_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_main_conf_t *zmcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, s;

    value = cf->args->elts;

    if (zmcf->zone_name.data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate: all credentials "
                           "are kept in one zone", &value[0]);
        return NGX_CONF_ERROR;
    }

    p = (u_char *) ngx_strlchr(value[1].data, value[1].data + value[1].len,
                               ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has an invalid value \"%V\": write "
                           "\"name:size\"", &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has an invalid size \"%V\": write a number "
                           "of bytes, or one with \"k\" or \"m\"",
                           &value[0], &s);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is too small: \"%V\" must have at least "
                           "%uz bytes", &value[0], &value[1],
                           (size_t) (8 * ngx_pagesize));
        return NGX_CONF_ERROR;
    }

    zmcf->zone_name.data = value[1].data;
    zmcf->zone_name.len = p - value[1].data;
    zmcf->zone_size = size;

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char                     *err;
    ngx_str_t                *value;
    ngx_zertiban_endpoint_t  *endpoint;

    if (zlcf->client.endpoint) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has variables in \"%V\": the URL must be "
                           "literal", &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    endpoint = ngx_palloc(cf->pool, sizeof(ngx_zertiban_endpoint_t));
    if (endpoint == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_zertiban_endpoint_parse(cf->pool, &value[1], endpoint, &err)
        != NGX_OK)
    {
        if (err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" has an invalid URL: %s",
                               &value[0], err);
        }

        return NGX_CONF_ERROR;
    }

    if (!endpoint->ssl && !endpoint->loopback) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" sends the secret unprotected to \"%V\": "
                           "use \"https://\"", &value[0], &value[1]);
    }

    zlcf->client.endpoint = endpoint;

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_client_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char       *rv, *err;
    ngx_str_t  *value;

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !ngx_zertiban_value_literal(zlcf->client_id)) {
        return rv;
    }

    value = cf->args->elts;

    err = ngx_zertiban_client_id_check(&value[1]);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" %s: write the id as Zertiban shows it",
                           &value[0], err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char       *rv, *err;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (zlcf->secret_file) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" and \"zertiban_client_secret_file\" are "
                           "both set: keep one of them", &value[0]);
        return NGX_CONF_ERROR;
    }

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !ngx_zertiban_value_literal(zlcf->client_secret)) {
        return rv;
    }

    err = ngx_zertiban_secret_check(&value[1]);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" %s: write the secret as Zertiban shows it",
                           &value[0], err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_secret_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_str_t             *value;
    ngx_zertiban_value_t  *secret;

    value = cf->args->elts;

    if (zlcf->secret_file) {
        return "is duplicate";
    }

    if (zlcf->client_secret != NGX_CONF_UNSET_PTR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" and \"zertiban_client_secret\" are both "
                           "set: keep one of them", &value[0]);
        return NGX_CONF_ERROR;
    }

    /* not compiled: a "$" in the file is a part of the secret */

    secret = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_value_t));
    if (secret == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_zertiban_secret_read(cf, &value[0], &value[1],
                                 &secret->complex.value)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    zlcf->client_secret = secret;
    zlcf->secret_file = 1;

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !ngx_zertiban_value_literal(zlcf->tenant_id)) {
        return rv;
    }

    value = cf->args->elts;

    if (!ngx_zertiban_tenant_valid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be 1 to 128 visible ASCII "
                           "characters: write the UUID of the business",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (!ngx_zertiban_conf_uuid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" has the value \"%V\", which is no UUID: "
                           "write the UUID of the business",
                           &value[0], &value[1]);
    }

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_hosts(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char        *err;
    ngx_str_t   *value;
    ngx_uint_t   bad;

    if (zlcf->hosts) {
        return "is duplicate: write all names in one directive";
    }

    value = cf->args->elts;
    bad = 0;

    zlcf->hosts = ngx_zertiban_hosts_create(cf->pool, &value[1],
                                            cf->args->nelts - 1, &bad, &err);

    if (zlcf->hosts == NULL) {

        if (err) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" has an invalid value: \"%V\" %s",
                               &value[0], &value[1 + bad], err);
        }

        return NGX_CONF_ERROR;
    }

    if (zlcf->hosts->any) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" is \"any\": tokens are sent to every "
                           "server, also without TLS, name the hosts instead",
                           &value[0]);
    }

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_protocols(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    /* ngx_conf_set_bitmask_slot() adds to what is there */

    if (zlcf->client.ssl.protocols) {
        return "is duplicate";
    }

    return ngx_conf_set_bitmask_slot(cf, cmd, conf);
}


ngx_uint_t
ngx_zertiban_tenant_valid(ngx_str_t *tenant)
{
    size_t  i;

    if (tenant->len == 0 || tenant->len > NGX_ZERTIBAN_TENANT_MAX) {
        return 0;
    }

    for (i = 0; i < tenant->len; i++) {
        if (tenant->data[i] <= 0x20 || tenant->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


/* RFC 9562, section 4: 8-4-4-4-12 hexadecimal digits */

static ngx_uint_t
ngx_zertiban_conf_uuid(ngx_str_t *value)
{
    u_char  ch;
    size_t  i;

    if (value->len != 36) {
        return 0;
    }

    for (i = 0; i < 36; i++) {
        ch = (u_char) (value->data[i] | 0x20);

        if (i == 8 || i == 13 || i == 18 || i == 23) {

            if (value->data[i] != '-') {
                return 0;
            }

            continue;
        }

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
            return 0;
        }
    }

    return 1;
}


static char *
ngx_zertiban_conf_verify(ngx_conf_t *cf, void *post, void *data)
{
    ngx_flag_t *fp = data;

    if (*fp == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"zertiban_ssl_verify\" is off: anybody on the "
                           "way to the token endpoint can read the secret, "
                           "use \"zertiban_ssl_trusted_certificate\" instead");
    }

    return NGX_CONF_OK;
}


static char *
ngx_zertiban_conf_timeout(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *msec = data;

    if (*msec == 0) {
        return "must be more than 0";
    }

    return NGX_CONF_OK;
}
