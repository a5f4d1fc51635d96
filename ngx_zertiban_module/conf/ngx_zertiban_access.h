
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

/* prepares zmcf->shown */

ngx_int_t ngx_zertiban_access_create(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);

/* a level that has one of these directives stands for what is around it */

void ngx_zertiban_access_merge(ngx_zertiban_access_t *prev,
    ngx_zertiban_access_t *conf);

/*
 * The location that is being merged shows something by a directive at "place",
 * which has to stay.  Returns NGX_OK, or NGX_ERROR if there is no memory.
 */

ngx_int_t ngx_zertiban_access_show(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf, ngx_zertiban_place_t *place);

/* warns, at postconfiguration, of those that anybody may see */

void ngx_zertiban_access_check(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);

/* whether a request that has come to its content handler was let in by that */

ngx_uint_t ngx_zertiban_access_passed(ngx_http_request_t *r);


#endif /* _NGX_ZERTIBAN_ACCESS_H_INCLUDED_ */
