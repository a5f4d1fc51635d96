
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_
#define _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_


#include "ngx_zertiban_credential.h"


/*
 * Called once for an exchange, when the zone knows of its end: 1 if it has an
 * outcome, 0 if it was given up.
 */

typedef void (*ngx_zertiban_exchange_pt)(ngx_zertiban_credential_t *credential,
    ngx_uint_t outcome);


/*
 * Runs an exchange under credential->view.lease, and ends that in the zone.
 * credential->exchange is set meanwhile, and the credential is held.
 * "handler" may be called before it returns.
 */

void ngx_zertiban_exchange_start(ngx_zertiban_credential_t *credential,
    ngx_zertiban_exchange_pt handler);

/* gives the exchange up and releases its lease; "handler" is not called */

void ngx_zertiban_exchange_abort(ngx_zertiban_credential_t *credential);


#endif /* _NGX_ZERTIBAN_EXCHANGE_H_INCLUDED_ */
