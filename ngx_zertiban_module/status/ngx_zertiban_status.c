
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#include "ngx_zertiban_status.h"


static ngx_int_t ngx_zertiban_status_handler(ngx_http_request_t *r);


char *
ngx_zertiban_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_zertiban_status_handler;

    zlcf->status = 1;
    ngx_zertiban_place_set(&zlcf->status_place, cf);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_zertiban_status_handler(ngx_http_request_t *r)
{
    return NGX_HTTP_NO_CONTENT;
}
