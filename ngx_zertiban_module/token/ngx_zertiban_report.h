
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_REPORT_H_INCLUDED_
#define _NGX_ZERTIBAN_REPORT_H_INCLUDED_


#include "ngx_zertiban_credential.h"


/*
 * What the log says of a credential.  What may happen for many credentials at
 * once is an error for the first one, and then once in 10 s.
 */

/* an exchange has failed, and "outcome" is what follows */

void ngx_zertiban_report_failure(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict, ngx_zertiban_outcome_t *outcome);

/* the first token after so many failures in a row */

void ngx_zertiban_report_again(ngx_zertiban_credential_t *credential,
    ngx_uint_t failures);

/* the zone is full of what must not go */

void ngx_zertiban_report_full(ngx_zertiban_credential_t *credential);

/* this worker lacks something, which is "reason" */

void ngx_zertiban_report_lack(ngx_zertiban_credential_t *credential,
    ngx_str_t *reason);

/* "n" exchanges are in flight here, which is as many as may be */

void ngx_zertiban_report_crowd(ngx_zertiban_credential_t *credential,
    ngx_uint_t n);


#endif /* _NGX_ZERTIBAN_REPORT_H_INCLUDED_ */
