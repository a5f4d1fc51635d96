
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SHARE_H_INCLUDED_
#define _NGX_ZERTIBAN_SHARE_H_INCLUDED_


#include "ngx_zertiban.h"


/* the directive "zertiban_share" */

char *ngx_zertiban_share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* NGX_ERROR: another directive has put its own handler there */

ngx_int_t ngx_zertiban_share_merge(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *prev, ngx_zertiban_loc_conf_t *conf);

/*
 * When all is merged: NGX_ERROR if there is a server that shares a token and
 * does not demand a certificate of its clients.
 */

ngx_int_t ngx_zertiban_share_check(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);


#endif /* _NGX_ZERTIBAN_SHARE_H_INCLUDED_ */
