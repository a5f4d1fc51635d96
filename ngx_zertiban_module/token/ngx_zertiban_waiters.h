
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_WAITERS_H_INCLUDED_
#define _NGX_ZERTIBAN_WAITERS_H_INCLUDED_


#include "ngx_zertiban_credential.h"


/* a place in a credential's queue; its owner sets the event's handler */

typedef struct {
    ngx_queue_t                      queue;
    ngx_event_t                      event;
    ngx_zertiban_credential_t       *credential;  /* NULL: does not wait */
} ngx_zertiban_waiter_t;


/*
 * Have waiter->event posted when it is worth looking for the token again; the
 * credential is held meanwhile.  When the last one leaves an exchange that is
 * for them alone, its credential is abandoned: it is due at the end of the
 * grace, and in the queue "abandoned" until somebody joins.
 */

void ngx_zertiban_waiters_join(ngx_zertiban_credential_t *credential,
    ngx_zertiban_waiter_t *waiter);
void ngx_zertiban_waiters_leave(ngx_zertiban_waiter_t *waiter);

/* ends that the credential is abandoned, if it is */

void ngx_zertiban_waiters_reclaim(ngx_zertiban_credential_t *credential);

/* posts the events of those whose credential's exchange has ended */

void ngx_zertiban_waiters_wake(ngx_zertiban_credentials_t *credentials);


#endif /* _NGX_ZERTIBAN_WAITERS_H_INCLUDED_ */
