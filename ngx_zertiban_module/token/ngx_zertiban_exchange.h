
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_
#define _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_


#include "ngx_zertiban_credential.h"


/*
 * Runs the exchange whose lease is look.lease of the set, with one of the
 * credential's pairs after the other, and ends that in the zone:
 * credentials->ended is called then, perhaps before the function returns.  With
 * "fetching" there is no token, and the exchange is counted.
 */

void ngx_zertiban_exchange_start(ngx_zertiban_credential_t *credential,
    ngx_uint_t fetching);

/*
 * Reads the file of the credential's pairs, if there is one, and that is new;
 * an exchange that is in flight has read it, and uses it.
 */

void ngx_zertiban_exchange_read_pairs(ngx_zertiban_credential_t *credential);

/*
 * Gives the credential's exchange up, without an outcome; "sent" says that the
 * next one is not due at once.
 */

void ngx_zertiban_exchange_abort(ngx_zertiban_credential_t *credential,
    ngx_uint_t sent);

/* whether too many are in flight for one more of this credential */

ngx_uint_t ngx_zertiban_exchange_crowded(
    ngx_zertiban_credential_t *credential);

/*
 * Gives one up that nobody waits for any more, the oldest; returns 0 if there
 * is none.
 */

ngx_uint_t ngx_zertiban_exchange_give_up(
    ngx_zertiban_credentials_t *credentials);

/* whether this worker lacked something a moment ago */

ngx_uint_t ngx_zertiban_exchange_sick(ngx_zertiban_credentials_t *credentials);


#endif /* _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_ */
