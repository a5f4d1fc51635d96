
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_
#define _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_zertiban_client.h"
#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_zone.h"


/* all credentials that this worker process knows; lives as long as a cycle */

typedef struct {
    ngx_rbtree_t                     rbtree;
    ngx_rbtree_node_t                sentinel;
    ngx_queue_t                      pinned;
    ngx_queue_t                      dynamic;     /* the last used first */
    ngx_uint_t                       ndynamic;
    ngx_queue_t                      waiting;     /* those waited for */
    ngx_event_t                      poll;
    ngx_msec_t                       full;        /* to be said again then */
    ngx_shm_zone_t                  *shm_zone;
} ngx_zertiban_credentials_t;


typedef struct {
    ngx_rbtree_node_t                rbnode;
    ngx_queue_t                      queue;       /* in "pinned", "dynamic" */
    ngx_queue_t                      waiting;     /* in "waiting" */
    ngx_queue_t                      waiters;
    ngx_atomic_uint_t                ended;       /* as they know */

    ngx_zertiban_credentials_t      *credentials;
    ngx_zertiban_client_conf_t      *client;
    ngx_msec_t                       refresh_before;
    ngx_zertiban_identity_t          identity;
    u_char                           key[NGX_ZERTIBAN_KEY_LEN];

    ngx_zertiban_node_t             *node;
    ngx_zertiban_copy_t              copy;        /* of the token */
    ngx_zertiban_look_t              look;        /* the last one */
    ngx_msec_t                       fresh;       /* none until then */
    ngx_event_t                      timer;       /* to look by itself */

    ngx_zertiban_client_t           *exchange;    /* in flight here */
    ngx_uint_t                       lease;       /* of it */

    ngx_uint_t                       refs;        /* holders */
    unsigned                         pinned:1;    /* known to the
                                                     configuration */
    unsigned                         used:1;      /* since it has changed */
} ngx_zertiban_credential_t;


/* returns NULL if there is no memory */

ngx_zertiban_credentials_t *ngx_zertiban_credentials_create(ngx_conf_t *cf);

/* NULL if this worker does not know it */

ngx_zertiban_credential_t *ngx_zertiban_credential_find(
    ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_identity_t *identity);

/*
 * Makes a credential that is not there, without a token.  With "pool" it lives
 * as long as that and uses the strings of "identity" in place: for those that
 * the configuration names.  Without, the id and the secret are copied, and it
 * may be gone when the event loop runs, unless it is held.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_credential_t *ngx_zertiban_credential_create(
    ngx_zertiban_credentials_t *credentials, ngx_pool_t *pool,
    ngx_zertiban_identity_t *identity, ngx_zertiban_client_conf_t *client,
    ngx_msec_t refresh_before);

#define ngx_zertiban_credential_hold(c)     (c)->refs++
#define ngx_zertiban_credential_release(c)  (c)->refs--

/* forgets a credential that is neither pinned nor held */

void ngx_zertiban_credential_forget(ngx_zertiban_credential_t *credential);

/*
 * The log level to say with that the zone is full: it concerns all credentials,
 * so it is an error once in 10 s.
 */

ngx_uint_t ngx_zertiban_credentials_full(
    ngx_zertiban_credentials_t *credentials);

/* the zone's handle, of the configuration that the credential is of */

#define ngx_zertiban_credential_zone(c)                                       \
    ((ngx_zertiban_zone_t *) (c)->credentials->shm_zone->data)


#endif /* _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_ */
