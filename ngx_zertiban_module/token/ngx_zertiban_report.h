
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


/*
 * What the token endpoint has answered, for another line: at most "size" bytes
 * at "buf", whose number is returned.
 */

size_t ngx_zertiban_report_answer(ngx_zertiban_verdict_t *verdict, u_char *buf,
    size_t size);

/*
 * A pair of the credential was refused in the exchange of this worker, and
 * another one is used: "pair", or that of the token, if it is NULL.
 */

void ngx_zertiban_report_refused(ngx_zertiban_credential_t *credential,
    ngx_zertiban_pair_t *pair);

/* the exchange has succeeded, with a pair that was refused "refusals" times */

void ngx_zertiban_report_accepted(ngx_zertiban_credential_t *credential,
    ngx_uint_t refusals);

/* the file of its pairs is another one: "rc" and "err" are of the reading */

void ngx_zertiban_report_file(ngx_zertiban_credential_t *credential,
    ngx_int_t rc, ngx_str_t *err);


#endif /* _NGX_ZERTIBAN_REPORT_H_INCLUDED_ */
