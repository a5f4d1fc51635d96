
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CHECK_H_INCLUDED_
#define _NGX_ZERTIBAN_CHECK_H_INCLUDED_


#include "ngx_zertiban_conf.h"


/*
 * Merges where "zertiban on" stands: conf->place and conf->gate, which is to
 * get its mark if the location turns out to be gated.
 */

void ngx_zertiban_check_merge(ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf);

/*
 * Returns NGX_ERROR if a location that needs tokens lacks what they are asked
 * for with.
 */

ngx_int_t ngx_zertiban_check_gate(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf);

/*
 * Warns, once, of a secret that begins with the client id of the location, as
 * "curl -u" has them.
 */

void ngx_zertiban_check_pair(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf);

/*
 * Warns of each "zertiban on" that gates nothing, and of each status that is
 * open, and refuses a value whose variables nobody has defined.  At
 * postconfiguration: right after it nginx would refuse it without the
 * directive, but with the name, which behind a "$" of a secret is a part of
 * the secret.
 *
 * Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_zertiban_check_all(ngx_conf_t *cf,
    ngx_zertiban_main_conf_t *zmcf);


#endif /* _NGX_ZERTIBAN_CHECK_H_INCLUDED_ */
