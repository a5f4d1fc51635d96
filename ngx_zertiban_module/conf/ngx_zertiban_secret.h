
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SECRET_H_INCLUDED_
#define _NGX_ZERTIBAN_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_ZERTIBAN_SECRET_MAX  4096


/*
 * Reads the secret in file "name", whose path is relative to the
 * configuration's, into memory of cf->pool.  One trailing line end is
 * dropped.  What is wrong is logged with the name of "directive" and the line
 * of the configuration, never with a byte of the secret; a file that others
 * can read is warned about.
 *
 * Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_zertiban_secret_read(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_str_t *secret);

/*
 * RFC 7617, section 2: no control characters, and no colon in the user-id.
 *
 * Returns NULL, or a static text that says what is wrong.
 */

char *ngx_zertiban_client_id_check(ngx_str_t *id);
char *ngx_zertiban_secret_check(ngx_str_t *secret);


#endif /* _NGX_ZERTIBAN_SECRET_H_INCLUDED_ */
