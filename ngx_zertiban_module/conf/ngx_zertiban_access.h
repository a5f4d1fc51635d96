
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ACCESS_H_INCLUDED_
#define _NGX_ZERTIBAN_ACCESS_H_INCLUDED_


#include "ngx_zertiban_conf.h"


/*
 * Has nginx ask this module first for "allow", "deny", and whatever of other
 * modules is named like "auth_basic".  At preconfiguration: "commands" are the
 * module's own, which it has again when cf->pool is destroyed.
 *
 * Returns NGX_OK, or NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_access_init(ngx_conf_t *cf, ngx_command_t *commands);

/*
 * Merges what guards a location: a level that has one of these directives
 * stands for what is around it.  Returns NGX_OK, or NGX_ERROR if there is no
 * memory.
 */

ngx_int_t ngx_zertiban_access_merge(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *prev, ngx_zertiban_loc_conf_t *conf);

/* warns, at postconfiguration, of each status that anybody may see */

void ngx_zertiban_access_check(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);

/*
 * Of a server that demands a certificate of its clients, over TLS: what nginx's
 * module for that knows of it, which ngx_zertiban_verified() takes; NULL of any
 * other.  When all is merged.
 */

void *ngx_zertiban_access_certificate(ngx_module_t **modules, void **srv_conf);

/* whether a request that has come to its content handler was let in by that */

ngx_uint_t ngx_zertiban_access_passed(ngx_http_request_t *r);


#endif /* _NGX_ZERTIBAN_ACCESS_H_INCLUDED_ */
