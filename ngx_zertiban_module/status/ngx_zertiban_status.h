
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_STATUS_H_INCLUDED_
#define _NGX_ZERTIBAN_STATUS_H_INCLUDED_


#include "ngx_zertiban_conf.h"


char *ngx_zertiban_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* "if" and "limit_except" have the status of the location they are in */

void ngx_zertiban_status_merge(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf);


#endif /* _NGX_ZERTIBAN_STATUS_H_INCLUDED_ */
