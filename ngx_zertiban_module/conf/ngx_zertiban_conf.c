
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The directives, each judged where it stands.
 */


#include "ngx_zertiban_conf.h"
#include "ngx_zertiban_load.h"
#include "ngx_zertiban_secret.h"


static void ngx_zertiban_conf_value(ngx_conf_t *cf,
    ngx_zertiban_value_t *value);
static char *ngx_zertiban_conf_dollar(ngx_conf_t *cf, ngx_str_t *value);
static ngx_uint_t ngx_zertiban_conf_path(ngx_conf_t *cf, ngx_str_t *value);
static void ngx_zertiban_conf_chosen(ngx_conf_t *cf,
    ngx_zertiban_value_t *tenant);
static ngx_uint_t ngx_zertiban_conf_uuid(ngx_str_t *value);
static char *ngx_zertiban_conf_verify(ngx_conf_t *cf, void *post, void *data);
static char *ngx_zertiban_conf_timeout(ngx_conf_t *cf, void *post, void *data);
static char *ngx_zertiban_conf_text(ngx_conf_t *cf, void *post, void *data);
static char *ngx_zertiban_conf_name(ngx_conf_t *cf, void *post, void *data);


ngx_conf_post_t  ngx_zertiban_conf_verify_post = { ngx_zertiban_conf_verify };
ngx_conf_post_t  ngx_zertiban_conf_timeout_post = { ngx_zertiban_conf_timeout };
ngx_conf_post_t  ngx_zertiban_conf_text_post = { ngx_zertiban_conf_text };
ngx_conf_post_t  ngx_zertiban_conf_name_post = { ngx_zertiban_conf_name };


char *
ngx_zertiban_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char                      *rv;
    ngx_zertiban_main_conf_t  *zmcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    zlcf->explicit = 1;
    ngx_zertiban_place_set(&zlcf->place, cf);

    if (zlcf->enable) {
        zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

        zlcf->gate = zlcf;
        zlcf->next = zmcf->gates;
        zmcf->gates = zlcf;
    }

    return NGX_CONF_OK;
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

    if (endpoint->uri.len == 1) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" has no path in \"%V\": write the whole URL, "
                           "the path of Zertiban's is \"/idp/oauth2/token\"",
                           &value[0], &value[1]);
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

    if (zlcf->pairs != NGX_CONF_UNSET_PTR) {
        return ngx_zertiban_conf_both(cf, "zertiban_credentials_file");
    }

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_zertiban_conf_value(cf, zlcf->client_id);

    if (!ngx_zertiban_value_literal(zlcf->client_id)) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    err = ngx_zertiban_client_id_check(&value[1]);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" %s: write the id as Zertiban shows it",
                           &value[0], err);
        return NGX_CONF_ERROR;
    }

    err = ngx_zertiban_client_id_odd(&value[1]);

    if (err) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" %s: write the id as Zertiban shows it",
                           &value[0], err);
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
        return ngx_zertiban_conf_both(cf, "zertiban_client_secret_file");
    }

    if (zlcf->pairs != NGX_CONF_UNSET_PTR) {
        return ngx_zertiban_conf_both(cf, "zertiban_credentials_file");
    }

    if (ngx_zertiban_conf_dollar(cf, value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    zlcf->client_secret->secret = 1;
    ngx_zertiban_conf_value(cf, zlcf->client_secret);

    if (!ngx_zertiban_value_literal(zlcf->client_secret)) {
        return NGX_CONF_OK;
    }

    err = ngx_zertiban_secret_check(&value[1]);

    if (err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" %s: write the secret as Zertiban shows it",
                           &value[0], err);
        return NGX_CONF_ERROR;
    }

    if (ngx_zertiban_conf_path(cf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" looks like the name of a file: use "
                           "\"zertiban_client_secret_file\" for a secret in a "
                           "file", &value[0]);
        return NGX_CONF_OK;
    }

    err = ngx_zertiban_secret_odd(&value[1], NULL);

    if (err) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" %s: write the secret as Zertiban shows it",
                           &value[0], err);
    }

    return NGX_CONF_OK;
}


static void
ngx_zertiban_conf_value(ngx_conf_t *cf, ngx_zertiban_value_t *value)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    value->next = zmcf->values;
    zmcf->values = value;
}


/* what nginx says of a "$" shows what is behind it */

static char *
ngx_zertiban_conf_dollar(ngx_conf_t *cf, ngx_str_t *value)
{
    switch (ngx_zertiban_value_syntax(&value[1])) {

    case NGX_OK:
        return NGX_CONF_OK;

    case NGX_DECLINED:
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" has a \"$\" and a digit, which stand for "
                           "a part of the request: if they belong to the "
                           "secret, put it into a file and name that with "
                           "\"zertiban_client_secret_file\"", &value[0]);
        return NGX_CONF_OK;

    default: /* NGX_ERROR */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has a \"$\" with no variable of nginx "
                           "behind it: put the secret into a file and name "
                           "that with \"zertiban_client_secret_file\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }
}


static ngx_uint_t
ngx_zertiban_conf_path(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_file_info_t  fi;

    if (value->len > 5 && ngx_strncmp(value->data, "file:", 5) == 0) {
        return 1;
    }

    /* a secret may begin with a slash, but is no file then */

    return value->data[0] == '/'
           && ngx_file_info(value->data, &fi) != NGX_FILE_ERROR;
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
        return ngx_zertiban_conf_both(cf, "zertiban_client_secret");
    }

    if (zlcf->pairs != NGX_CONF_UNSET_PTR) {
        return ngx_zertiban_conf_both(cf, "zertiban_credentials_file");
    }

    /* not compiled: a "$" in the file is a part of the secret */

    secret = ngx_zertiban_value_create(cf);
    if (secret == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_zertiban_load_secret(cf, &value[0], &value[1],
                                 &secret->complex.value, &secret->written)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    zlcf->client_secret = secret;
    zlcf->secret_file = 1;

    return NGX_CONF_OK;
}


char *
ngx_zertiban_conf_both(ngx_conf_t *cf, char *other)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" and \"%s\" are both set: keep one of them",
                       &value[0], other);

    return NGX_CONF_ERROR;
}


char *
ngx_zertiban_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_zertiban_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_zertiban_conf_value(cf, zlcf->tenant_id);

    if (!ngx_zertiban_value_literal(zlcf->tenant_id)) {
        ngx_zertiban_conf_chosen(cf, zlcf->tenant_id);
        return NGX_CONF_OK;
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


/* a variable of the client's alone: what is made of one may be safe */

static void
ngx_zertiban_conf_chosen(ngx_conf_t *cf, ngx_zertiban_value_t *tenant)
{
    ngx_str_t                  *name;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_str_t  prefix[] = {
        ngx_string("arg_"),
        ngx_string("http_"),
        ngx_string("cookie_"),
        ngx_null_string
    };

    if (tenant->index == NGX_ERROR) {
        return;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    v = cmcf->variables.elts;
    name = &v[tenant->index].name;

    for (i = 0; prefix[i].len; i++) {

        if (name->len < prefix[i].len
            || ngx_strncmp(name->data, prefix[i].data, prefix[i].len) != 0)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" is what the client says in \"$%V\", and it "
                           "can act for any business of the credential: use "
                           "\"map\" to find the business by what the client "
                           "has proven", &tenant->directive, name);
        return;
    }
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

    if (*msec < 1000) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"zertiban_timeout\" is %M ms: a token request "
                           "over TLS may take longer, and would never bring a "
                           "token then, write at least \"1s\"", *msec);
    }

    return NGX_CONF_OK;
}


static char *
ngx_zertiban_conf_text(ngx_conf_t *cf, void *post, void *data)
{
    ngx_zertiban_text_t *text = data;

    ngx_zertiban_place_set(&text->place, cf);

    return NGX_CONF_OK;
}


/* OpenSSL takes one that begins with a dot for all names that end so */

static char *
ngx_zertiban_conf_name(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t *name = data;

    char       *err;
    ngx_str_t  *value;

    if (name->len == 0
        || ngx_zertiban_endpoint_address(name->data, name->len))
    {
        return NGX_CONF_OK;
    }

    err = (name->data[0] == '[') ? "has brackets: write the address alone"
                                 : ngx_zertiban_hosts_check(name);

    if (err) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has an invalid value: \"%V\" %s",
                           &value[0], name, err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
