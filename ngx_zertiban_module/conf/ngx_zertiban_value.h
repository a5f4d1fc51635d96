
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_VALUE_H_INCLUDED_
#define _NGX_ZERTIBAN_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* the value of a directive that may hold variables */

typedef struct {
    ngx_http_complex_value_t    complex;
    ngx_int_t                   index;      /* of the variable that is all of
                                               it, or NGX_ERROR */
} ngx_zertiban_value_t;


#define ngx_zertiban_value_literal(v)  ((v)->complex.lengths == NULL)


/*
 * Sets a ngx_zertiban_value_t * at cmd->offset, as
 * ngx_http_set_complex_value_slot() does.
 */

char *ngx_zertiban_value_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * The value for this request: of the configuration or of r->pool, and not to be
 * changed.  A variable that has none is an empty string.
 *
 * Returns NGX_OK or NGX_ERROR.
 */

#define ngx_zertiban_value_get(r, v, s)                                       \
    (ngx_zertiban_value_literal(v) ? (*(s) = (v)->complex.value, NGX_OK)      \
                                   : ngx_zertiban_value_evaluate(r, v, s))

ngx_int_t ngx_zertiban_value_evaluate(ngx_http_request_t *r,
    ngx_zertiban_value_t *value, ngx_str_t *s);


#endif /* _NGX_ZERTIBAN_VALUE_H_INCLUDED_ */
