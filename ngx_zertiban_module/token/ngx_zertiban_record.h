
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_RECORD_H_INCLUDED_
#define _NGX_ZERTIBAN_RECORD_H_INCLUDED_


#include "ngx_zertiban_credential.h"


/*
 * Counts an exchange that has ended, and how long it took; without a verdict it
 * was given up, or its owner has died.
 */

void ngx_zertiban_record_exchange(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict);

/*
 * The pair that is being tried, "tag", has obtained a token.  It is in use
 * since it was written, if that is known, or since its first token.
 */

void ngx_zertiban_record_pair(ngx_zertiban_credential_t *credential,
    ngx_zertiban_tag_t tag);

/* keeps in the zone why the exchange has failed; takes the mutex */

void ngx_zertiban_record_failure(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict);


#endif /* _NGX_ZERTIBAN_RECORD_H_INCLUDED_ */
