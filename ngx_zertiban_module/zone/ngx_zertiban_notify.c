
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Waking all workers.  One eventfd, made by the master process and never
 * read, is watched edge-triggered by every worker: each write is an event in
 * each of them, as in ngx_epoll_notify().  Where there is none, those who wait
 * look more often.
 */


#include "ngx_zertiban_notify.h"

#if (NGX_LINUX)
#include <sys/eventfd.h>
#endif


#define NGX_ZERTIBAN_POLL          200     /* ms, to see that a process died */
#define NGX_ZERTIBAN_POLL_ONLY     10      /* ms, without an eventfd */


static void ngx_zertiban_notify_cleanup(void *data);
static void ngx_zertiban_notify_handler(ngx_event_t *rev);


/* old and new worker processes share it, so it outlives a configuration */

static ngx_socket_t            ngx_zertiban_notify_fd = (ngx_socket_t) -1;
static ngx_uint_t              ngx_zertiban_notify_cycles;

/*
 * not taken with ngx_get_connection(): it must neither be closed nor be
 * waited for when the worker process exits
 */

static ngx_connection_t        ngx_zertiban_notify_conn;
static ngx_event_t             ngx_zertiban_notify_read;
static ngx_event_t             ngx_zertiban_notify_write;

static ngx_zertiban_notify_pt  ngx_zertiban_notify_callback;
static ngx_uint_t              ngx_zertiban_notify_listening;


void
ngx_zertiban_notify_init(ngx_cycle_t *cycle)
{
#if (NGX_LINUX)

    ngx_pool_cleanup_t  *cln;

    if (ngx_zertiban_notify_fd == (ngx_socket_t) -1) {
        ngx_zertiban_notify_fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    }

    if (ngx_zertiban_notify_fd == (ngx_socket_t) -1) {

        /* an error here would end the master process */

        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "eventfd() failed, requests wait longer for tokens "
                      "of other worker processes");
        return;
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (cln) {
        cln->handler = ngx_zertiban_notify_cleanup;
        ngx_zertiban_notify_cycles++;
    }

#endif
}


/* the last configuration that uses it is gone, and so is this module */

static void
ngx_zertiban_notify_cleanup(void *data)
{
    if (--ngx_zertiban_notify_cycles == 0) {
        (void) close(ngx_zertiban_notify_fd);
        ngx_zertiban_notify_fd = (ngx_socket_t) -1;
    }
}


void
ngx_zertiban_notify_listen(ngx_cycle_t *cycle, ngx_zertiban_notify_pt handler,
    void *data)
{
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    ngx_zertiban_notify_callback = handler;
    ngx_zertiban_notify_conn.data = data;

    /* what is never read would spin if it were not edge-triggered */

    if (ngx_zertiban_notify_listening
        || ngx_zertiban_notify_fd == (ngx_socket_t) -1
        || !(ngx_event_flags & NGX_USE_CLEAR_EVENT))
    {
        return;
    }

    c = &ngx_zertiban_notify_conn;
    rev = &ngx_zertiban_notify_read;

    c->fd = ngx_zertiban_notify_fd;
    c->read = rev;
    c->write = &ngx_zertiban_notify_write;
    c->log = cycle->log;

    rev->data = c;
    rev->handler = ngx_zertiban_notify_handler;
    rev->log = cycle->log;

    c->write->data = c;
    c->write->write = 1;
    c->write->log = cycle->log;

    if (ngx_add_event(rev, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        return;
    }

    ngx_zertiban_notify_listening = 1;
}


static void
ngx_zertiban_notify_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    rev->ready = 0;

    ngx_zertiban_notify_callback(c->data);
}


void
ngx_zertiban_notify(void)
{
    static uint64_t  one = 1;

    if (ngx_zertiban_notify_fd == (ngx_socket_t) -1) {
        return;
    }

    if (write(ngx_zertiban_notify_fd, &one, sizeof(uint64_t)) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "write() to eventfd %d failed", ngx_zertiban_notify_fd);
    }
}


ngx_msec_t
ngx_zertiban_notify_interval(void)
{
    return ngx_zertiban_notify_listening ? NGX_ZERTIBAN_POLL
                                         : NGX_ZERTIBAN_POLL_ONLY;
}
