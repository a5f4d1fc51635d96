
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The client of the token endpoint: one exchange on nginx's event loop.
 */


#include "ngx_zertiban_client.h"
#include "ngx_zertiban_request.h"
#include "ngx_zertiban_resolve.h"
#include "ngx_zertiban_response.h"

#include <ngx_event_connect.h>


#define NGX_ZERTIBAN_CODING_MAX  32            /* characters that are shown */


struct ngx_zertiban_client_s {
    ngx_event_t                   deadline;

    ngx_zertiban_client_conf_t   *conf;
    ngx_zertiban_client_pt        handler;
    void                         *data;

    ngx_pool_t                   *pool;
    ngx_log_t                     log;

    ngx_zertiban_resolve_t        resolve;
    ngx_addr_t                   *addrs;
    ngx_uint_t                    naddrs;
    ngx_uint_t                    naddr;          /* the next one to try */

    ngx_peer_connection_t         peer;
    ngx_buf_t                    *request;
    ngx_str_t                    *secrets;        /* that are not shown */
    ngx_uint_t                    nsecrets;
    ngx_zertiban_response_t      *response;
    ngx_msec_t                    sent;

    ngx_err_t                     err;            /* when nginx has logged */
    size_t                        reason_len;
    u_char                        reason[NGX_ZERTIBAN_REASON_MAX];

    unsigned                      connected:1;
    unsigned                      cut:1;          /* TLS has not ended */
};


static void ngx_zertiban_client_log(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);
static void ngx_zertiban_client_resolve(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_resolve_handler(void *data, ngx_int_t rc);
static void ngx_zertiban_client_connect(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_next(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_connected(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_ssl_handler(ngx_connection_t *c);
static void ngx_zertiban_client_ssl_done(ngx_zertiban_client_t *cl);
static ngx_int_t ngx_zertiban_client_ssl_verify(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_write_handler(ngx_event_t *wev);
static void ngx_zertiban_client_read_handler(ngx_event_t *rev);
static void ngx_zertiban_client_dummy_handler(ngx_event_t *ev);
static ngx_int_t ngx_zertiban_client_test_connect(ngx_connection_t *c);
static void ngx_zertiban_client_send(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_recv(ngx_zertiban_client_t *cl);
static ngx_int_t ngx_zertiban_client_parse(ngx_zertiban_client_t *cl,
    ngx_uint_t eof);
static void ngx_zertiban_client_answer(ngx_zertiban_client_t *cl);
static const char *ngx_zertiban_client_unusable(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_deadline_handler(ngx_event_t *ev);
static void ngx_zertiban_client_fail(ngx_zertiban_client_t *cl,
    ngx_zertiban_error_e error, const char *reason);
static ngx_uint_t ngx_zertiban_client_lacks(ngx_int_t rc, ngx_err_t err);
static void ngx_zertiban_client_finish(ngx_zertiban_client_t *cl,
    ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_client_close(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_free(ngx_zertiban_client_t *cl);
static void ngx_zertiban_client_close_peer(ngx_zertiban_client_t *cl);


ngx_zertiban_client_t *
ngx_zertiban_client_create(ngx_zertiban_client_conf_t *conf, ngx_str_t *id,
    ngx_str_t *secrets, ngx_uint_t n, ngx_str_t *scope,
    ngx_zertiban_mark_t refused, ngx_zertiban_client_pt handler, void *data)
{
    ngx_pool_t             *pool;
    ngx_zertiban_client_t  *cl;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    cl = ngx_pcalloc(pool, sizeof(ngx_zertiban_client_t));
    if (cl == NULL) {
        goto failed;
    }

    cl->conf = conf;
    cl->handler = handler;
    cl->data = data;
    cl->pool = pool;

    cl->log = *ngx_cycle->log;
    cl->log.log_level = ngx_max(cl->log.log_level, NGX_LOG_INFO);
    cl->log.writer = ngx_zertiban_client_log;
    cl->log.wdata = cl;
    cl->log.handler = NULL;
    cl->log.next = NULL;

    ngx_zertiban_log_plain(&cl->log);

    cl->response = ngx_zertiban_response_create(pool, &cl->log);
    if (cl->response == NULL) {
        goto failed;
    }

    /* what is sent of the first one as well */

    cl->nsecrets = n + 1;

    cl->secrets = ngx_palloc(pool, cl->nsecrets * sizeof(ngx_str_t));
    if (cl->secrets == NULL) {
        goto failed;
    }

    ngx_memcpy(cl->secrets, secrets, n * sizeof(ngx_str_t));

    cl->request = ngx_zertiban_request_create(pool, conf->endpoint, id, secrets,
                                              scope, refused,
                                              &cl->secrets[n]);
    if (cl->request == NULL) {
        goto failed;
    }

    return cl;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


void
ngx_zertiban_client_start(ngx_zertiban_client_t *cl, ngx_msec_t timeout)
{
    ngx_event_t                 *ev;
    ngx_zertiban_client_conf_t  *conf;

    conf = cl->conf;
    ev = &cl->deadline;

    ev->handler = ngx_zertiban_client_deadline_handler;
    ev->data = cl;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, timeout);

    if (conf->resolver && !conf->endpoint->literal) {
        ngx_zertiban_client_resolve(cl);
        return;
    }

    cl->addrs = conf->endpoint->addrs;
    cl->naddrs = conf->endpoint->naddrs;

    ngx_zertiban_client_connect(cl);
}


void
ngx_zertiban_client_abort(ngx_zertiban_client_t *cl)
{
    ngx_zertiban_client_close(cl);
    ngx_zertiban_client_free(cl);
}


/*
 * Keeps the text of a line, which is the reason if the exchange fails, and
 * passes on what is not about the peer.
 */

static void
ngx_zertiban_client_log(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len)
{
    u_char                 *p, *last;
    ngx_err_t               err;
    ngx_zertiban_client_t  *cl;

    err = ngx_errno;
    cl = log->wdata;

    /* "time [level] pid#tid: text" LF, as ngx_log_error_core() writes it */

    last = buf + len;

    if (len && last[-1] == LF) {
        last--;
    }

    p = buf + ngx_min(ngx_cached_err_log_time.len, (size_t) (last - buf));
    p = ngx_strnstr(p, ": ", last - p);
    p = p ? p + 2 : buf;

    if (level != NGX_LOG_DEBUG) {
        cl->err = err;
        cl->reason_len = ngx_min(last - p, NGX_ZERTIBAN_REASON_MAX);
        ngx_memcpy(cl->reason, p, cl->reason_len);
    }

    if (level == NGX_LOG_DEBUG || level <= NGX_LOG_ALERT) {
        ngx_zertiban_log_core(level, ngx_cycle->log, 0, "%*s",
                              (size_t) (last - p), p);
    }
}


static void
ngx_zertiban_client_resolve(ngx_zertiban_client_t *cl)
{
    ngx_zertiban_resolve_t      *rs;
    ngx_zertiban_client_conf_t  *conf;

    rs = &cl->resolve;
    conf = cl->conf;

    rs->resolver = conf->resolver;
    rs->timeout = conf->resolver_timeout;
    rs->host = conf->endpoint->host;
    rs->port = conf->endpoint->port;
    rs->pool = cl->pool;
    rs->log = &cl->log;
    rs->handler = ngx_zertiban_client_resolve_handler;
    rs->data = cl;

    ngx_zertiban_resolve_start(rs);
}


static void
ngx_zertiban_client_resolve_handler(void *data, ngx_int_t rc)
{
    ngx_zertiban_client_t *cl = data;

    if (rc == NGX_DECLINED) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                 "the resolver could not be asked");
        return;
    }

    if (rc != NGX_OK) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_UNREACHABLE,
                                 "the host could not be resolved");
        return;
    }

    cl->addrs = cl->resolve.addrs;
    cl->naddrs = cl->resolve.naddrs;

    ngx_zertiban_client_connect(cl);
}


static void
ngx_zertiban_client_connect(ngx_zertiban_client_t *cl)
{
    ngx_int_t          rc;
    ngx_addr_t        *addr;
    ngx_msec_t         left;
    ngx_connection_t  *c;

    do {
        if (cl->naddr == cl->naddrs) {
            ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_UNREACHABLE,
                                     "no address of the host is known");
            return;
        }

        addr = &cl->addrs[cl->naddr++];

        ngx_memzero(&cl->peer, sizeof(ngx_peer_connection_t));

        cl->peer.sockaddr = addr->sockaddr;
        cl->peer.socklen = addr->socklen;
        cl->peer.name = &addr->name;
        cl->peer.get = ngx_event_get_peer;
        cl->peer.log = &cl->log;
        cl->peer.log_error = NGX_ERROR_ERR;

        cl->err = 0;

        rc = ngx_event_connect_peer(&cl->peer);

        if (ngx_zertiban_client_lacks(rc, cl->err)) {
            ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                     "no connection could be made");
            return;
        }

    } while (rc != NGX_OK && rc != NGX_AGAIN);

    c = cl->peer.connection;

    c->data = cl;
    c->pool = cl->pool;
    c->read->handler = ngx_zertiban_client_read_handler;
    c->write->handler = ngx_zertiban_client_write_handler;

    cl->connected = 0;

    if (cl->naddr < cl->naddrs) {

        /* an address that is silent leaves time for the others */

        left = ngx_max((ngx_msec_int_t) (cl->deadline.timer.key
                                         - ngx_current_msec), 1);

        c->write->cancelable = 1;

        ngx_add_timer(c->write, left / (cl->naddrs - cl->naddr + 1) + 1);
    }

    if (rc == NGX_OK) {
        ngx_zertiban_client_connected(cl);
    }
}


static void
ngx_zertiban_client_next(ngx_zertiban_client_t *cl)
{
    ngx_zertiban_client_close_peer(cl);
    ngx_zertiban_client_connect(cl);
}


static void
ngx_zertiban_client_connected(ngx_zertiban_client_t *cl)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = cl->peer.connection;

    cl->connected = 1;

    /* what was wrong with the addresses before does not matter any more */

    cl->reason_len = 0;

    if (!cl->conf->endpoint->ssl) {
        ngx_zertiban_client_send(cl);
        return;
    }

    if (ngx_zertiban_ssl_connection(c, &cl->conf->ssl, cl->conf->endpoint)
        != NGX_OK)
    {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                 "no TLS connection could be made");
        return;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_zertiban_client_ssl_handler;
        return;
    }

    ngx_zertiban_client_ssl_done(cl);
}


static void
ngx_zertiban_client_ssl_handler(ngx_connection_t *c)
{
    ngx_zertiban_client_ssl_done(c->data);
}


static void
ngx_zertiban_client_ssl_done(ngx_zertiban_client_t *cl)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = cl->peer.connection;
    rc = ngx_zertiban_client_ssl_verify(cl);

    if (rc == NGX_OK && c->ssl->handshaked) {

        /* ngx_ssl_handshake() has its own handlers */

        c->read->handler = ngx_zertiban_client_read_handler;
        c->write->handler = ngx_zertiban_client_write_handler;

        ngx_zertiban_client_send(cl);
        return;
    }

    if (rc == NGX_OK && c->write->timedout) {
        ngx_log_error(NGX_LOG_ERR, &cl->log, NGX_ETIMEDOUT,
                      "TLS handshake with %V timed out", cl->peer.name);
    }

    ngx_zertiban_client_next(cl);
}


static ngx_int_t
ngx_zertiban_client_ssl_verify(ngx_zertiban_client_t *cl)
{
    const char        *err;
    ngx_connection_t  *c;

    if (!cl->conf->ssl.verify) {
        return NGX_OK;
    }

    c = cl->peer.connection;
    err = ngx_zertiban_ssl_verify_error(c);

    if (err) {
        ngx_log_error(NGX_LOG_ERR, &cl->log, 0,
                      "the certificate of \"%V\" is not accepted: %s",
                      cl->peer.name, err);
        return NGX_ERROR;
    }

    /* with anonymous ciphers SSL_VERIFY_PEER means nothing */

    if (c->ssl->handshaked && !ngx_zertiban_ssl_certified(c)) {
        ngx_log_error(NGX_LOG_ERR, &cl->log, 0,
                      "\"%V\" has sent no certificate", cl->peer.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_zertiban_client_write_handler(ngx_event_t *wev)
{
    ngx_connection_t       *c;
    ngx_zertiban_client_t  *cl;

    c = wev->data;
    cl = c->data;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_ERR, &cl->log, NGX_ETIMEDOUT,
                      "connect() to %V timed out", cl->peer.name);
        ngx_zertiban_client_next(cl);
        return;
    }

    if (cl->connected) {
        ngx_zertiban_client_send(cl);
        return;
    }

    if (ngx_zertiban_client_test_connect(c) != NGX_OK) {
        ngx_zertiban_client_next(cl);
        return;
    }

    ngx_zertiban_client_connected(cl);
}


static void
ngx_zertiban_client_read_handler(ngx_event_t *rev)
{
    ngx_connection_t       *c;
    ngx_zertiban_client_t  *cl;

    c = rev->data;
    cl = c->data;

    if (c->close) {

        /* worker_shutdown_timeout */

        ngx_zertiban_client_finish(cl, NULL);
        return;
    }

    if (!cl->connected) {

        /* a failure wakes both events, a success is left to the other one */

        if (ngx_zertiban_client_test_connect(c) != NGX_OK) {
            ngx_zertiban_client_next(cl);
        }

        return;
    }

    ngx_zertiban_client_recv(cl);
}


static void
ngx_zertiban_client_dummy_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "zertiban client dummy handler");
}


static ngx_int_t
ngx_zertiban_client_test_connect(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    /* BSDs and Linux return 0 and set a pending error, Solaris returns -1 */

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        (void) ngx_connection_error(c, err, "connect() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_zertiban_client_send(ngx_zertiban_client_t *cl)
{
    ssize_t            n;
    ngx_buf_t         *b;
    ngx_connection_t  *c;

    c = cl->peer.connection;
    b = cl->request;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (b->pos == b->start) {
        cl->sent = ngx_current_msec;
    }

    while (b->pos < b->last) {

        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_UNREACHABLE,
                                     "could not send the token request");
            return;
        }

        b->pos += n;
    }

    if (b->pos == b->last) {
        c->write->handler = ngx_zertiban_client_dummy_handler;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                 "could not watch the connection");
        return;
    }

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                 "could not watch the connection");
    }
}


static void
ngx_zertiban_client_recv(ngx_zertiban_client_t *cl)
{
    ssize_t            n;
    ngx_buf_t         *b;
    ngx_connection_t  *c;

    c = cl->peer.connection;
    b = &cl->response->buf;

    do {
        n = c->recv(c, b->last, b->end - b->last);

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                         "could not watch the connection");
            }

            return;
        }

        if (n > 0) {
            b->last += n;

        } else if (b->last == b->start) {
            ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_UNREACHABLE,
                              "the connection was closed without an answer");
            return;

        } else {

            /* by a RST as well: what has come is an answer all the same */

            cl->cut = c->ssl && (n == NGX_ERROR
                                 || !ngx_zertiban_ssl_closed(c));
        }

    } while (ngx_zertiban_client_parse(cl, n <= 0) == NGX_AGAIN);
}


/* returns NGX_AGAIN, or NGX_DONE if the client is gone */

static ngx_int_t
ngx_zertiban_client_parse(ngx_zertiban_client_t *cl, ngx_uint_t eof)
{
    switch (ngx_zertiban_response_parse(cl->response, eof)) {

    case NGX_AGAIN:
        return NGX_AGAIN;

    case NGX_OK:
        ngx_zertiban_client_answer(cl);
        return NGX_DONE;

    default: /* NGX_ERROR */
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 cl->response->err);
        return NGX_DONE;
    }
}


static void
ngx_zertiban_client_answer(ngx_zertiban_client_t *cl)
{
    const char               *err;
    ngx_zertiban_verdict_t    verdict;
    ngx_zertiban_response_t  *rp;

    rp = cl->response;

    err = ngx_zertiban_client_unusable(cl);

    if (err) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_BAD_RESPONSE, err);
        return;
    }

    ngx_zertiban_verdict_init(&verdict);

    ngx_zertiban_token_parse(rp->status.code, rp->body,
                             rp->body_last - rp->body, cl->secrets,
                             cl->nsecrets, &verdict);

    /* it is obeyed on 429 and 503 */

    if (verdict.status == 429 || verdict.status == 503) {
        verdict.retry_after = rp->retry_after;
    }

    verdict.date = rp->date;
    verdict.age = rp->age;
    verdict.next = rp->next;

    ngx_zertiban_client_finish(cl, &verdict);
}


/* why an answer with the status of one with a token has none, or NULL */

static const char *
ngx_zertiban_client_unusable(ngx_zertiban_client_t *cl)
{
    ngx_str_t                *coding;
    ngx_zertiban_response_t  *rp;

    rp = cl->response;

    if (!ngx_zertiban_token_status(rp->status.code)) {
        return NULL;
    }

    if (cl->cut && !rp->chunked && rp->content_length == -1) {

        /* anyone on the way may have closed the connection */

        return "the answer was cut short";
    }

    coding = &rp->coding;

    if (coding->data == NULL) {
        return NULL;
    }

    if (coding->len == 0
        || ngx_zertiban_token_secret(coding, cl->secrets, cl->nsecrets))
    {
        return "the answer has a content coding";
    }

    (void) ngx_sprintf(cl->reason,
                       "the answer has the content coding \"%*s\"%Z",
                       ngx_min(coding->len, NGX_ZERTIBAN_CODING_MAX),
                       coding->data);

    return (char *) cl->reason;
}


static void
ngx_zertiban_client_deadline_handler(ngx_event_t *ev)
{
    ngx_zertiban_client_t  *cl;

    cl = ev->data;

    if (cl->resolve.ctx && !ngx_zertiban_resolve_asked(&cl->resolve)) {
        ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_BUSY,
                                 "the resolver could not be asked");
        return;
    }

    ngx_zertiban_client_fail(cl, NGX_ZERTIBAN_IDP_TIMEOUT,
                             "the token endpoint did not answer in time");
}


static void
ngx_zertiban_client_fail(ngx_zertiban_client_t *cl, ngx_zertiban_error_e error,
    const char *reason)
{
    ngx_zertiban_verdict_t  verdict;

    ngx_zertiban_verdict_init(&verdict);

    verdict.error = error;

    /* nginx knows best why the endpoint was not reached */

    if ((error == NGX_ZERTIBAN_IDP_UNREACHABLE || error == NGX_ZERTIBAN_BUSY)
        && cl->reason_len)
    {
        verdict.reason.len = cl->reason_len;
        verdict.reason.data = cl->reason;

    } else {
        verdict.reason.len = ngx_strlen(reason);
        verdict.reason.data = (u_char *) reason;
    }

    ngx_zertiban_client_finish(cl, &verdict);
}


/*
 * Whether ngx_event_connect_peer() has failed for what this machine lacks: all
 * but connect() itself is local, and that if it is for a port or memory.  An
 * address of a family that the machine does not have is like one that is not
 * reachable.
 */

static ngx_uint_t
ngx_zertiban_client_lacks(ngx_int_t rc, ngx_err_t err)
{
    if (rc == NGX_ERROR) {
        return err != EAFNOSUPPORT;
    }

    return rc == NGX_DECLINED
           && (err == EADDRNOTAVAIL || err == ENOBUFS || err == NGX_ENOMEM);
}


static void
ngx_zertiban_client_finish(ngx_zertiban_client_t *cl,
    ngx_zertiban_verdict_t *verdict)
{
    ngx_zertiban_client_close(cl);

    cl->handler(cl->data, verdict, cl->sent);

    ngx_zertiban_client_free(cl);
}


static void
ngx_zertiban_client_close(ngx_zertiban_client_t *cl)
{
    ngx_zertiban_resolve_cancel(&cl->resolve);
    ngx_zertiban_client_close_peer(cl);

    if (cl->deadline.timer_set) {
        ngx_del_timer(&cl->deadline);
    }
}


static void
ngx_zertiban_client_free(ngx_zertiban_client_t *cl)
{
    ngx_buf_t  *b;

    b = cl->request;
    ngx_explicit_memzero(b->start, b->end - b->start);

    b = &cl->response->buf;
    ngx_explicit_memzero(b->start, b->last - b->start);

    ngx_destroy_pool(cl->pool);
}


static void
ngx_zertiban_client_close_peer(ngx_zertiban_client_t *cl)
{
    ngx_connection_t  *c;

    c = cl->peer.connection;

    if (c == NULL) {
        return;
    }

    if (c->ssl) {

        /* as in ngx_http_upstream_finalize_request() */

        c->ssl->no_wait_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

    ngx_close_connection(c);
    cl->peer.connection = NULL;
}
