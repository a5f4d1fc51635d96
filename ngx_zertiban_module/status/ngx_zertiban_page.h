
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_PAGE_H_INCLUDED_
#define _NGX_ZERTIBAN_PAGE_H_INCLUDED_


#include "ngx_zertiban_model.h"
#include "ngx_zertiban_out.h"


/*
 * Writes the model as a page of HTML; with "form" each credential of the
 * configuration has a button that tries it.
 */

void ngx_zertiban_page(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_uint_t form);


#endif /* _NGX_ZERTIBAN_PAGE_H_INCLUDED_ */
