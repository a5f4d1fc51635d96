
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_VALUE_H_INCLUDED_
#define _NGX_ZERTIBAN_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_zertiban_place.h"


typedef struct ngx_zertiban_value_s  ngx_zertiban_value_t;


/* the value of a directive that may hold variables */

struct ngx_zertiban_value_s {
    ngx_http_complex_value_t    complex;
    ngx_int_t                   index;      /* of the variable that is all of
                                               it, or NGX_ERROR */
    ngx_str_t                   directive;
    ngx_zertiban_place_t        place;
    ngx_zertiban_value_t       *next;       /* of the configuration */
    time_t                      written;    /* the file that has it, or 0 */

    unsigned                    secret:1;   /* not to be shown, nor is a part */
    unsigned                    warned:1;
};


/* of the name of a variable */

#define ngx_zertiban_value_name_char(ch)                                      \
    (((ch) >= 'A' && (ch) <= 'Z') || ((ch) >= 'a' && (ch) <= 'z')             \
     || ((ch) >= '0' && (ch) <= '9') || (ch) == '_')

#define ngx_zertiban_value_literal(v)  ((v)->complex.lengths == NULL)


/* an empty value of the directive that is being read, or NULL */

ngx_zertiban_value_t *ngx_zertiban_value_create(ngx_conf_t *cf);

/*
 * Sets a ngx_zertiban_value_t * at cmd->offset, as
 * ngx_http_set_complex_value_slot() does.
 */

char *ngx_zertiban_value_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Whether ngx_http_script_compile() will accept "value": what it says if not
 * shows a part of it.
 *
 * Returns NGX_OK, NGX_DECLINED if there are captures, NGX_ERROR.
 */

ngx_int_t ngx_zertiban_value_syntax(ngx_str_t *value);

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
