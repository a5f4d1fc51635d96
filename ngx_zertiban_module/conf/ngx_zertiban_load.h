
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_LOAD_H_INCLUDED_
#define _NGX_ZERTIBAN_LOAD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_pairs.h"


/*
 * The files with secrets that a directive names, read while that is.  What is
 * wrong is logged with the name of "directive" and the line of the
 * configuration, never with a byte of a secret; so is what looks like a
 * mistake, or a file that others can read.
 *
 * Return NGX_OK or NGX_ERROR.
 */

/*
 * The secret in file "name", whose path is relative to the configuration's, in
 * memory of cf->pool; one trailing line end is dropped.  "*written" is set to
 * when the file was.
 */

ngx_int_t ngx_zertiban_load_secret(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_str_t *name, ngx_str_t *secret, time_t *written);

/* those of pairs->file */

ngx_int_t ngx_zertiban_load_pairs(ngx_conf_t *cf, ngx_str_t *directive,
    ngx_zertiban_pairs_t *pairs);


#endif /* _NGX_ZERTIBAN_LOAD_H_INCLUDED_ */
