
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_NAMED_H_INCLUDED_
#define _NGX_ZERTIBAN_NAMED_H_INCLUDED_


#include "ngx_zertiban_conf.h"


/* "zertiban_credentials_file" */

char *ngx_zertiban_named_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* which of a file, and a client id and its secret, the location has */

void ngx_zertiban_named_merge(ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_loc_conf_t *prev);

/*
 * Sets conf->source, and conf->credential unless that depends on variables, of
 * a location that has all that is needed.  Returns NGX_CONF_OK or
 * NGX_CONF_ERROR, which was logged.
 */

char *ngx_zertiban_named_credential(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf);

/*
 * Sets zmcf->named, when all locations are known.  Returns NGX_OK, or NGX_ERROR
 * if there is no memory.
 */

ngx_int_t ngx_zertiban_named_list(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);

/* the one with this key, or NULL */

ngx_zertiban_credential_t *ngx_zertiban_named_find(
    ngx_zertiban_named_t *named, u_char *key);


#endif /* _NGX_ZERTIBAN_NAMED_H_INCLUDED_ */
