
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_JSON_H_INCLUDED_
#define _NGX_ZERTIBAN_JSON_H_INCLUDED_


#include "ngx_zertiban_model.h"
#include "ngx_zertiban_out.h"


/* writes the model as an object, whose members docs/status.md has */

void ngx_zertiban_json(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model);


#endif /* _NGX_ZERTIBAN_JSON_H_INCLUDED_ */
