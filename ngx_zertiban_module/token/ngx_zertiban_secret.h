
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

/*
 * Whether the content of a file begins with a byte order mark: of UTF-8 or
 * UTF-16.
 *
 * Returns NULL, or a static text that says so, and what to do.
 */

char *ngx_zertiban_secret_bom(ngx_str_t *content);

/*
 * What is usable but looks like a mistake, to be warned about: white space at
 * an end, quotes around it, NAME=value, the client id and a colon before it,
 * anything but printable ASCII.  "id" is NULL if it is not known.
 *
 * Returns NULL, or a static text that begins with a verb and has no byte of
 * the value.
 */

char *ngx_zertiban_client_id_odd(ngx_str_t *id);
char *ngx_zertiban_secret_odd(ngx_str_t *secret, ngx_str_t *id);

/*
 * Logs that file "name" of "directive" could not be opened, and what to do
 * about it.
 */

void ngx_zertiban_secret_open_error(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_err_t err);


#endif /* _NGX_ZERTIBAN_SECRET_H_INCLUDED_ */
