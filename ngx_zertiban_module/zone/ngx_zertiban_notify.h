
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_NOTIFY_H_INCLUDED_
#define _NGX_ZERTIBAN_NOTIFY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef void (*ngx_zertiban_notify_pt)(void *data);


/* in the master process, at each configuration */

void ngx_zertiban_notify_init(ngx_cycle_t *cycle);

/*
 * In a worker process: "handler" is called whenever a worker calls
 * ngx_zertiban_notify(), this one included.
 */

void ngx_zertiban_notify_listen(ngx_cycle_t *cycle,
    ngx_zertiban_notify_pt handler, void *data);

void ngx_zertiban_notify(void);

/* how often those who wait have to look for themselves, ms */

ngx_msec_t ngx_zertiban_notify_interval(void);


#endif /* _NGX_ZERTIBAN_NOTIFY_H_INCLUDED_ */
