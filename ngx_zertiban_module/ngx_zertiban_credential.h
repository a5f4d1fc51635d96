
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
    ngx_queue_t                      dynamic;     /* the last used first */
    ngx_uint_t                       ndynamic;
    ngx_queue_t                      waiting;     /* those waited for */
    ngx_event_t                      poll;
    ngx_shm_zone_t                  *shm_zone;
} ngx_zertiban_credentials_t;


typedef struct {
    ngx_rbtree_node_t                rbnode;
    ngx_queue_t                      queue;       /* in "dynamic" */
    ngx_queue_t                      waiting;     /* in "waiting" */
    ngx_queue_t                      waiters;

    ngx_zertiban_credentials_t      *credentials;
    ngx_zertiban_client_conf_t      *client;
    ngx_msec_t                       refresh_before;
    ngx_zertiban_identity_t          identity;
    u_char                           key[NGX_ZERTIBAN_KEY_LEN];

    ngx_zertiban_node_t             *node;
    ngx_zertiban_view_t              view;
    ngx_msec_t                       fresh;       /* no look at the zone
                                                     until then */

    ngx_uint_t                       refs;        /* holders */
    unsigned                         pinned:1;    /* known to the
                                                     configuration */
} ngx_zertiban_credential_t;


/* a place in a credential's queue; its owner sets the event's handler */

typedef struct {
    ngx_queue_t                      queue;
    ngx_event_t                      event;
    ngx_zertiban_credential_t       *credential;  /* NULL: does not wait */
} ngx_zertiban_waiter_t;


ngx_zertiban_credentials_t *ngx_zertiban_credentials_create(ngx_conf_t *cf);

/*
 * Finds or makes a credential.  With "pool" it lives as long as that and uses
 * the strings of "identity" in place: for those that the configuration names.
 * Without, the strings are copied, and it may be gone when the event loop
 * runs, unless it is held.
 *
 * Returns NULL if there is no memory.
 */

ngx_zertiban_credential_t *ngx_zertiban_credential_get(
    ngx_zertiban_credentials_t *credentials, ngx_pool_t *pool,
    ngx_zertiban_identity_t *identity, ngx_zertiban_client_conf_t *client,
    ngx_msec_t refresh_before);

#define ngx_zertiban_credential_hold(c)     (c)->refs++
#define ngx_zertiban_credential_release(c)  (c)->refs--

/*
 * Sees that there is a token, and starts the exchange if this worker is to.
 * Takes no lock while the worker's copy is current.
 *
 * Returns
 *     NGX_OK        view.value is the header's value, until the event loop runs
 *     NGX_AGAIN     an exchange is in flight
 *     NGX_DECLINED  there is none: view.error, and view.delay in ms
 *     NGX_ERROR     the zone is full, or there is no memory
 */

#define ngx_zertiban_credential_token(c)                                      \
    (((c)->view.generation                                                    \
      && (c)->view.generation == (c)->node->generation                        \
      && ngx_zertiban_before(ngx_current_msec, (c)->fresh))                   \
     ? NGX_OK : ngx_zertiban_credential_look(c))

ngx_int_t ngx_zertiban_credential_look(ngx_zertiban_credential_t *credential);

/*
 * Have waiter->event posted when it is worth calling
 * ngx_zertiban_credential_token() again; the credential is held meanwhile.
 */

void ngx_zertiban_credential_wait(ngx_zertiban_credential_t *credential,
    ngx_zertiban_waiter_t *waiter);
void ngx_zertiban_credential_leave(ngx_zertiban_waiter_t *waiter);

/* of notify: something has changed in the zone */

void ngx_zertiban_credentials_wake(void *data);


#endif /* _NGX_ZERTIBAN_CREDENTIAL_H_INCLUDED_ */
