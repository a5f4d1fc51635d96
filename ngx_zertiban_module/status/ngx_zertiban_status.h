
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_STATUS_H_INCLUDED_
#define _NGX_ZERTIBAN_STATUS_H_INCLUDED_


#include "ngx_zertiban_conf.h"


char *ngx_zertiban_status_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_ZERTIBAN_STATUS_H_INCLUDED_ */
