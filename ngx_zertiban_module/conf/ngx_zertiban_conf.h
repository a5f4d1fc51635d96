
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CONF_H_INCLUDED_
#define _NGX_ZERTIBAN_CONF_H_INCLUDED_


#include "ngx_zertiban_compat.h"
#include "ngx_zertiban_credential.h"
#include "ngx_zertiban_value.h"


typedef struct ngx_zertiban_loc_conf_s  ngx_zertiban_loc_conf_t;


typedef struct {
    ngx_str_t                      zone_name;
    size_t                         zone_size;

    ngx_zertiban_credentials_t    *credentials;

    /* variables that show what is replaced, NGX_ERROR if nobody uses them */

    ngx_int_t                      authorization_index;
    ngx_int_t                      tenant_index;

    ngx_int_t                      ctx_index;   /* of a slot for the passes */

    ngx_zertiban_value_t          *values;      /* that may hold variables */
    ngx_zertiban_loc_conf_t       *gates;       /* each "zertiban on" */

    unsigned                       gated:1;     /* some location is */
} ngx_zertiban_main_conf_t;


struct ngx_zertiban_loc_conf_s {
    ngx_flag_t                     enable;
    ngx_zertiban_place_t           place;       /* of "zertiban on" */

    ngx_zertiban_loc_conf_t       *gate;        /* that has this place */
    ngx_zertiban_loc_conf_t       *next;        /* in zmcf->gates */

    ngx_zertiban_value_t          *client_id;
    ngx_zertiban_value_t          *client_secret;
    ngx_zertiban_pairs_t          *pairs;       /* of a file, instead */
    ngx_zertiban_value_t          *tenant_id;
    ngx_str_t                      scope;

    ngx_msec_t                     refresh_before;
    ngx_flag_t                     replay;

    ngx_zertiban_client_conf_t     client;
    ngx_zertiban_source_t         *source;      /* of the credentials */

    /* NULL if the credential depends on variables */

    ngx_zertiban_credential_t     *credential;

    /* behind the gate, NULL if there is nothing that leads upstream */

    ngx_http_handler_pt            handler;
    ngx_http_handler_pt            wrapper;     /* of another module */
    ngx_http_upstream_conf_t      *upstream;

    unsigned                       explicit:1;  /* "zertiban" is set here */
    unsigned                       proxied:1;   /* it stands before a pass */
    unsigned                       secret_file:1;
    unsigned                       checked:1;   /* a request was looked at */
};


extern ngx_module_t  ngx_zertiban_module;


char *ngx_zertiban_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_client_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_protocols(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * warns of "zertiban_ssl_verify off", refuses a timeout of nothing, sets the
 * place of a ngx_zertiban_text_t
 */

extern ngx_conf_post_t  ngx_zertiban_conf_verify_post;
extern ngx_conf_post_t  ngx_zertiban_conf_timeout_post;
extern ngx_conf_post_t  ngx_zertiban_conf_text_post;

/*
 * RFC 9110, section 5.5, and what a tenant may be: 1 to 128 visible ASCII
 * characters.
 */

#define NGX_ZERTIBAN_TENANT_MAX  128

ngx_uint_t ngx_zertiban_tenant_valid(ngx_str_t *tenant);


#endif /* _NGX_ZERTIBAN_CONF_H_INCLUDED_ */
