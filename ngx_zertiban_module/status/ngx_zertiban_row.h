
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ROW_H_INCLUDED_
#define _NGX_ZERTIBAN_ROW_H_INCLUDED_


#include "ngx_zertiban_model.h"
#include "ngx_zertiban_out.h"


/* writes a row of the table, with "form" a button that tries the credential */

void ngx_zertiban_row(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e, ngx_uint_t form);

/* writes what people know the credential by */

void ngx_zertiban_row_name(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e);

/* writes how long ago there was a token last, or that there was none */

void ngx_zertiban_row_obtained(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);


#endif /* _NGX_ZERTIBAN_ROW_H_INCLUDED_ */
