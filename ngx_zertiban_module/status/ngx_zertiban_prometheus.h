
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_PROMETHEUS_H_INCLUDED_
#define _NGX_ZERTIBAN_PROMETHEUS_H_INCLUDED_


#include "ngx_zertiban_model.h"
#include "ngx_zertiban_out.h"


/* writes the model in the text format 0.0.4 of Prometheus */

void ngx_zertiban_prometheus(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);


#endif /* _NGX_ZERTIBAN_PROMETHEUS_H_INCLUDED_ */
