
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_VARIABLES_H_INCLUDED_
#define _NGX_ZERTIBAN_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* a preconfiguration handler */

ngx_int_t ngx_zertiban_variables_add(ngx_conf_t *cf);

/* the index of a variable, if anything uses it, or NGX_ERROR */

ngx_int_t ngx_zertiban_variable_index(ngx_cycle_t *cycle, char *name);


#endif /* _NGX_ZERTIBAN_VARIABLES_H_INCLUDED_ */
