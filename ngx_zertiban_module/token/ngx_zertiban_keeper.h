
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_KEEPER_H_INCLUDED_
#define _NGX_ZERTIBAN_KEEPER_H_INCLUDED_


#include "ngx_zertiban_credential.h"
#include "ngx_zertiban_demand.h"


/* in a worker process, when it begins and when it exits */

void ngx_zertiban_keeper_start(ngx_cycle_t *cycle,
    ngx_zertiban_credentials_t *credentials);
void ngx_zertiban_keeper_stop(ngx_zertiban_credentials_t *credentials);

/*
 * Sees, for a request, that there is a token, and starts the exchange if this
 * worker is to.  Takes no lock while the worker's copy is current.  Without
 * "fetch" it does not start one, nor say that somebody waits.
 *
 * Returns
 *     NGX_OK        copy->value is the header's value, until the next look
 *     NGX_AGAIN     an exchange is in flight, or will be
 *     NGX_DECLINED  there is none: look.error, and look.delay in ms, of the set
 *     NGX_BUSY      there is none, and this worker cannot run an exchange now
 *     NGX_ERROR     the zone is full
 */

#define ngx_zertiban_keeper_token(c)                                          \
    (((c)->copy                                                               \
      && (c)->copy->generation == (c)->node->generation                       \
      && ngx_zertiban_before(ngx_current_msec, (c)->fresh))                   \
     ? NGX_OK : ngx_zertiban_keeper_look(c, 1))

ngx_int_t ngx_zertiban_keeper_look(ngx_zertiban_credential_t *credential,
    ngx_uint_t fetch);

/*
 * Drops the token of "generation", which the API has not accepted, if it is
 * still the current one.
 *
 * Returns NGX_OK, and ngx_zertiban_keeper_token() says what there is instead;
 * NGX_DECLINED if the token is too young, and stays.
 */

#define ngx_zertiban_keeper_drop(c, generation)                               \
    ngx_zertiban_zone_drop(ngx_zertiban_credential_zone(c), (c)->key,         \
                           generation)

/*
 * Has the token of "generation" replaced soon, if it is the current one and at
 * least 10 s old: the API may have refused it.  It stays in use until then.
 */

void ngx_zertiban_keeper_doubt(ngx_zertiban_credential_t *credential,
    ngx_atomic_uint_t generation);

/*
 * Has the token of a credential of the configuration replaced because somebody
 * says so, with the pairs that its file has now, and starts the exchange if
 * this worker is to.
 *
 * Returns what ngx_zertiban_demand() does, but for
 *     NGX_AGAIN     an exchange is in flight, or will be: to be asked again, as
 *                   a waiter
 *     NGX_BUSY      this worker cannot run an exchange now
 *     NGX_ABORT     the file cannot be read, or is of no use
 *     NGX_ERROR     the zone is full
 */

ngx_int_t ngx_zertiban_keeper_demand(ngx_zertiban_credential_t *credential,
    ngx_zertiban_demand_t *demand);

/*
 * A request is served with the token: what has variables is kept fresh if that
 * was so since it changed last.
 */

#define ngx_zertiban_keeper_used(c)  (c)->used = 1


#endif /* _NGX_ZERTIBAN_KEEPER_H_INCLUDED_ */
