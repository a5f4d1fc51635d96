
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The module: its directives, and how a configuration becomes a gateway.
 */


#include "ngx_zertiban.h"
#include "ngx_zertiban_access.h"
#include "ngx_zertiban_check.h"
#include "ngx_zertiban_destination.h"
#include "ngx_zertiban_frame.h"
#include "ngx_zertiban_handlers.h"
#include "ngx_zertiban_headers.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_named.h"
#include "ngx_zertiban_notify.h"
#include "ngx_zertiban_share.h"
#include "ngx_zertiban_status.h"
#include "ngx_zertiban_variables.h"


static ngx_int_t ngx_zertiban_preconfiguration(ngx_conf_t *cf);
static void *ngx_zertiban_create_main_conf(ngx_conf_t *cf);
static void *ngx_zertiban_create_loc_conf(ngx_conf_t *cf);
static char *ngx_zertiban_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_zertiban_merge_gate(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf);
static char *ngx_zertiban_merge_client(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf);
static ngx_int_t ngx_zertiban_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_zertiban_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_zertiban_init_process(ngx_cycle_t *cycle);
static void ngx_zertiban_exit_process(ngx_cycle_t *cycle);
static ngx_zertiban_main_conf_t *ngx_zertiban_worker_conf(ngx_cycle_t *cycle);


static ngx_conf_bitmask_t  ngx_zertiban_ssl_protocols[] = {
    { ngx_string("SSLv2"), NGX_SSL_SSLv2 },
    { ngx_string("SSLv3"), NGX_SSL_SSLv3 },
    { ngx_string("TLSv1"), NGX_SSL_TLSv1 },
    { ngx_string("TLSv1.1"), NGX_SSL_TLSv1_1 },
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_zertiban_commands[] = {

    { ngx_string("zertiban"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF
                        |NGX_CONF_FLAG,
      ngx_zertiban_conf_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, enable),
      NULL },

    { ngx_string("zertiban_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_token_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_client_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_client_id,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client_id),
      NULL },

    { ngx_string("zertiban_client_secret"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client_secret),
      NULL },

    { ngx_string("zertiban_client_secret_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_credentials_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_named_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_upstream_host"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_zertiban_conf_hosts,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_tenant_id"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_conf_tenant,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, tenant_id),
      NULL },

    { ngx_string("zertiban_scope"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, scope),
      NULL },

    { ngx_string("zertiban_refresh_before"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, refresh_before),
      NULL },

    { ngx_string("zertiban_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.timeout),
      &ngx_zertiban_conf_timeout_post },

    { ngx_string("zertiban_replay"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, replay),
      NULL },

    { ngx_string("zertiban_ssl_verify"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.verify),
      &ngx_zertiban_conf_verify_post },

    { ngx_string("zertiban_ssl_verify_depth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.verify_depth),
      NULL },

    { ngx_string("zertiban_ssl_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.trusted_certificate),
      &ngx_zertiban_conf_text_post },

    { ngx_string("zertiban_ssl_crl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.crl),
      &ngx_zertiban_conf_text_post },

    { ngx_string("zertiban_ssl_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.name),
      &ngx_zertiban_conf_name_post },

    { ngx_string("zertiban_ssl_server_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.server_name),
      NULL },

    { ngx_string("zertiban_ssl_protocols"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_zertiban_conf_protocols,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.protocols),
      &ngx_zertiban_ssl_protocols },

    { ngx_string("zertiban_ssl_ciphers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.ciphers),
      &ngx_zertiban_conf_text_post },

    { ngx_string("zertiban_ssl_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.certificate),
      &ngx_zertiban_conf_text_post },

    { ngx_string("zertiban_ssl_certificate_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_zertiban_loc_conf_t, client.ssl.certificate_key),
      &ngx_zertiban_conf_text_post },

    { ngx_string("zertiban_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_zertiban_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zertiban_share"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_zertiban_share,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* of nginx, see ngx_zertiban_handlers.c; with the schemes of TLS */

    { ngx_string("proxy_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_handlers_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      "https://" },

    { ngx_string("grpc_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_handlers_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      "grpcs://" },

    { ngx_string("fastcgi_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_handlers_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("uwsgi_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_handlers_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      "suwsgi://" },

    { ngx_string("scgi_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE1,
      ngx_zertiban_handlers_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_zertiban_module_ctx = {
    ngx_zertiban_preconfiguration,         /* preconfiguration */
    ngx_zertiban_postconfiguration,        /* postconfiguration */

    ngx_zertiban_create_main_conf,         /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_zertiban_create_loc_conf,          /* create location configuration */
    ngx_zertiban_merge_loc_conf            /* merge location configuration */
};


ngx_module_t  ngx_zertiban_module = {
    NGX_MODULE_V1,
    &ngx_zertiban_module_ctx,              /* module context */
    ngx_zertiban_commands,                 /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_zertiban_init_module,              /* init module */
    ngx_zertiban_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_zertiban_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_zertiban_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_zertiban_handlers_check(cf) != NGX_OK
        || ngx_zertiban_access_init(cf, ngx_zertiban_commands) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_zertiban_variables_add(cf);
}


static void *
ngx_zertiban_create_main_conf(ngx_conf_t *cf)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_main_conf_t));
    if (zmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     zmcf->zone_name = { 0, NULL };
     *     zmcf->zone_size = 0;
     *     zmcf->values = NULL;
     *     zmcf->gates = NULL;
     *     zmcf->shares = NULL;
     *     zmcf->named = { NULL, NULL, 0 };
     *     zmcf->gated = 0;
     *     zmcf->dynamic = 0;
     *     zmcf->covered = 0;
     */

    if (ngx_zertiban_destination_create(cf, zmcf) != NGX_OK) {
        return NULL;
    }

    zmcf->credentials = ngx_zertiban_credentials_create(cf);
    if (zmcf->credentials == NULL) {
        return NULL;
    }

    zmcf->authorization_index = NGX_ERROR;
    zmcf->tenant_index = NGX_ERROR;

    return zmcf;
}


static void *
ngx_zertiban_create_loc_conf(ngx_conf_t *cf)
{
    ngx_zertiban_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->place = { { 0, NULL }, 0 };
     *     conf->gate = NULL;
     *     conf->next = NULL;
     *     conf->scope = { 0, NULL };
     *     conf->client.endpoint = NULL;
     *     conf->client.resolver = NULL;
     *     conf->source = NULL;
     *     conf->credential = NULL;
     *     conf->handler = NULL;
     *     conf->wrapper = NULL;
     *     conf->upstream = NULL;
     *     conf->route = NULL;
     *     conf->status = NGX_ZERTIBAN_STATUS_NONE;
     *     conf->status_max = 0;
     *     conf->status_place = { { 0, NULL }, 0 };
     *     conf->share = NULL;
     *     conf->hosts = NULL;
     *     conf->trust = NGX_ZERTIBAN_TRUST_UNKNOWN;
     *     conf->refused = NGX_ZERTIBAN_REFUSED_NOT;
     *     conf->explicit = 0;
     *     conf->proxied = 0;
     *     conf->secret_file = 0;
     *     conf->checked = 0;
     *     conf->told = 0;
     */

    conf->enable = NGX_CONF_UNSET;
    conf->client_id = NGX_CONF_UNSET_PTR;
    conf->client_secret = NGX_CONF_UNSET_PTR;
    conf->pairs = NGX_CONF_UNSET_PTR;
    conf->tenant_id = NGX_CONF_UNSET_PTR;
    conf->refresh_before = NGX_CONF_UNSET_MSEC;
    conf->replay = NGX_CONF_UNSET;
    conf->client.timeout = NGX_CONF_UNSET_MSEC;

    ngx_zertiban_ssl_init_conf(&conf->client.ssl);

    return conf;
}


static char *
ngx_zertiban_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_zertiban_loc_conf_t *prev = parent;
    ngx_zertiban_loc_conf_t *conf = child;

    ngx_uint_t                 gated;
    ngx_http_core_loc_conf_t  *clcf;

    ngx_zertiban_check_merge(prev, conf);

    ngx_conf_merge_value(conf->enable, prev->enable, 0);

    ngx_zertiban_named_merge(conf, prev);

    ngx_conf_merge_str_value(conf->scope, prev->scope, "");
    ngx_conf_merge_ptr_value(conf->tenant_id, prev->tenant_id, NULL);
    ngx_conf_merge_msec_value(conf->refresh_before, prev->refresh_before,
                              60000);
    ngx_conf_merge_value(conf->replay, prev->replay, 1);
    ngx_conf_merge_msec_value(conf->client.timeout, prev->client.timeout,
                              10000);

    if (conf->client.endpoint == NULL) {
        conf->client.endpoint = prev->client.endpoint;
    }

    if (conf->hosts == NULL) {
        conf->hosts = prev->hosts;
    }

    if (ngx_zertiban_ssl_merge_conf(cf, &conf->client.ssl, &prev->client.ssl)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_zertiban_access_merge(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_zertiban_status_merge(cf, prev, conf);

    gated = ngx_zertiban_handlers_merge(cf, prev, conf);

    if (ngx_zertiban_share_merge(cf, prev, conf) != NGX_OK
        || ngx_zertiban_destination_add(cf, conf, gated) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (gated) {
        conf->gate->proxied = 1;
        return ngx_zertiban_merge_gate(cf, conf);
    }

    if (conf->share) {
        return ngx_zertiban_merge_gate(cf, conf);
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!conf->enable || !conf->explicit || clcf->loc_conf == NULL) {

        /* nothing that could be gated, and nobody has asked for it here */

        return NGX_CONF_OK;
    }

    return ngx_zertiban_merge_gate(cf, conf);
}


static char *
ngx_zertiban_merge_gate(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    if (ngx_zertiban_check_gate(cf, conf) != NGX_OK
        || ngx_zertiban_merge_client(cf, conf) != NGX_CONF_OK
        || ngx_zertiban_named_credential(cf, zmcf->credentials, conf)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_zertiban_check_pair(cf, conf);

    zmcf->gated = 1;

    if (conf->credential == NULL) {
        zmcf->dynamic = 1;
    }

    return NGX_CONF_OK;
}


static char *
ngx_zertiban_merge_client(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    char                      *err;
    ngx_zertiban_endpoint_t   *endpoint;
    ngx_http_core_loc_conf_t  *clcf;

    endpoint = conf->client.endpoint;

    if (endpoint->ssl
        && ngx_zertiban_ssl_create(cf, &conf->client.ssl) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* without "resolver" it is a dummy that has no servers */

    if (clcf->resolver && ngx_zertiban_resolver_usable(clcf->resolver)) {
        conf->client.resolver = clcf->resolver;
        conf->client.resolver_timeout = clcf->resolver_timeout;
        return NGX_CONF_OK;
    }

    switch (ngx_zertiban_endpoint_resolve(cf->pool, endpoint, &err)) {

    case NGX_OK:
        return NGX_CONF_OK;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "%s \"%V\" of \"zertiban_token_endpoint\", there will "
                      "be no token from it: set \"resolver\", or reload when "
                      "the name is known, in %V:%ui",
                      err, &endpoint->host, &conf->place.file,
                      conf->place.line);
        return NGX_CONF_OK;

    default: /* NGX_ERROR */
        return NGX_CONF_ERROR;
    }
}


static ngx_int_t
ngx_zertiban_postconfiguration(ngx_conf_t *cf)
{
    ngx_shm_zone_t            *shm_zone;
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    if (ngx_zertiban_check_all(cf, zmcf) != NGX_OK
        || ngx_zertiban_share_check(cf, zmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    zmcf->loaded = ngx_time();

    if (ngx_zertiban_frame_init() != NGX_OK
        || ngx_zertiban_named_list(cf, zmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!zmcf->gated) {
        return NGX_OK;
    }

    if (zmcf->zone_name.data == NULL) {
        ngx_str_set(&zmcf->zone_name, "zertiban");
        zmcf->zone_size = 1 << 20;
    }

    shm_zone = ngx_zertiban_shm_add(cf, &zmcf->zone_name, zmcf->zone_size,
                                    &ngx_zertiban_module);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    zmcf->credentials->shm_zone = shm_zone;
    ngx_zertiban_credentials_zone(zmcf->credentials)->named = zmcf->named.n;

    ngx_zertiban_destination_init(cf, zmcf);

    ngx_zertiban_headers_init();

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_init_module(ngx_cycle_t *cycle)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_zertiban_module);

    if (zmcf == NULL || !zmcf->gated) {
        return NGX_OK;
    }

    /* only now all modules have said which variables they use */

    zmcf->authorization_index = ngx_zertiban_variable_index(cycle,
                                                         "http_authorization");
    zmcf->tenant_index = ngx_zertiban_variable_index(cycle,
                                                     "http_x_tenant_id");

    ngx_zertiban_credentials_record(zmcf->credentials);

    ngx_zertiban_notify_init(cycle);

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_init_process(ngx_cycle_t *cycle)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_zertiban_worker_conf(cycle);

    if (zmcf) {
        ngx_zertiban_keeper_start(cycle, zmcf->credentials);
    }

    return NGX_OK;
}


static void
ngx_zertiban_exit_process(ngx_cycle_t *cycle)
{
    ngx_zertiban_main_conf_t  *zmcf;

    zmcf = ngx_zertiban_worker_conf(cycle);

    if (zmcf) {
        ngx_zertiban_keeper_stop(zmcf->credentials);
    }
}


/* NULL if there is nothing to do: a cache manager has no requests */

static ngx_zertiban_main_conf_t *
ngx_zertiban_worker_conf(ngx_cycle_t *cycle)
{
    ngx_zertiban_main_conf_t  *zmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NULL;
    }

    zmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_zertiban_module);

    return (zmcf && zmcf->gated) ? zmcf : NULL;
}
