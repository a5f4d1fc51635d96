
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_NAMES_H_INCLUDED_
#define _NGX_ZERTIBAN_NAMES_H_INCLUDED_


#include "ngx_zertiban_out.h"
#include "ngx_zertiban_survey.h"


/* of exchanges: "ok", and what the token endpoint may have done instead */

#define NGX_ZERTIBAN_OUTCOMES  (NGX_ZERTIBAN_IDP_TIMEOUT + 1)


/* static strings: of a ngx_zertiban_standing_e, of a ngx_zertiban_error_e */

ngx_str_t *ngx_zertiban_standing_name(ngx_uint_t standing);
ngx_str_t *ngx_zertiban_outcome_name(ngx_uint_t error);

/*
 * Write how all formats have it: a moment or a time, ms, as seconds; a bound of
 * a bucket, ms, as seconds without needless zeros; the day of a time, UTC; the
 * fingerprint of a key.
 */

void ngx_zertiban_out_moment(ngx_zertiban_out_t *out, int64_t msec);
void ngx_zertiban_out_bound(ngx_zertiban_out_t *out, ngx_msec_t msec);
void ngx_zertiban_out_date(ngx_zertiban_out_t *out, time_t t);
void ngx_zertiban_out_fingerprint(ngx_zertiban_out_t *out, u_char *key);


#endif /* _NGX_ZERTIBAN_NAMES_H_INCLUDED_ */
