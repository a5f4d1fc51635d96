
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_HANDLERS_H_INCLUDED_
#define _NGX_ZERTIBAN_HANDLERS_H_INCLUDED_


#include "ngx_zertiban.h"


/* sees that nginx asks this module first; at preconfiguration */

ngx_int_t ngx_zertiban_handlers_check(ngx_conf_t *cf);

/*
 * Sets a directive that leads upstream, such as "proxy_pass": calls its own
 * module, and puts the gate before the content handler that this has set.
 */

char *ngx_zertiban_handlers_pass(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Merges what ngx_zertiban_handlers_pass() has set, and takes the gate away
 * where conf->enable is not set.  Returns 1 if the location is gated.
 */

ngx_uint_t ngx_zertiban_handlers_merge(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *prev, ngx_zertiban_loc_conf_t *conf);


#endif /* _NGX_ZERTIBAN_HANDLERS_H_INCLUDED_ */
