
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Everything that differs between the supported versions of nginx.
 */


#ifndef _NGX_ZERTIBAN_COMPAT_H_INCLUDED_
#define _NGX_ZERTIBAN_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <nginx.h>

/* also if the module is configured without it: nginx may have it */

#include <ngx_http_ssl_module.h>


#if (nginx_version >= 1023000)

/*
 * since 1.23.0 ngx_http_link_multi_headers() links equally named headers,
 * once for a request
 */

#define ngx_zertiban_multi_save(r, h)                                         \
    (h)->multi = (r)->headers_in.multi;                                       \
    (h)->multi_linked = (r)->headers_in.multi_linked;                         \
    (r)->headers_in.multi_linked = 0

#define ngx_zertiban_multi_restore(r, h)                                      \
    (r)->headers_in.multi = (h)->multi;                                       \
    (r)->headers_in.multi_linked = (h)->multi_linked

#define ngx_zertiban_header_unlink(h)      (h)->next = NULL

#else

#define ngx_zertiban_multi_save(r, h)
#define ngx_zertiban_multi_restore(r, h)
#define ngx_zertiban_header_unlink(h)

#endif


#ifdef NGX_HTTP_UPSTREAM_EARLY_HINTS

/*
 * since 1.29.0 a 103 may go to the client, if "early_hints" lets it:
 * ngx_http_send_early_hints()
 */

static ngx_inline ngx_uint_t
ngx_zertiban_early_hints(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (rc != NGX_HTTP_UPSTREAM_EARLY_HINTS) {
        return 0;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    return ngx_http_test_predicates(r, clcf->early_hints) == NGX_DECLINED;
}


#else

#define ngx_zertiban_early_hints(r, rc)    0

#endif


/* an nginx without TLS for upstreams may lack the members */

#if (NGX_HTTP_SSL || NGX_COMPAT)

#define ngx_zertiban_upstream_verify(conf)    ((conf)->ssl_verify == 1)
#define ngx_zertiban_upstream_ssl_name(conf)  ((conf)->ssl_name)
#define ngx_zertiban_upstream_name(u)         (&(u)->ssl_name)

#else

#define ngx_zertiban_upstream_verify(conf)    0
#define ngx_zertiban_upstream_ssl_name(conf)                                  \
    ((ngx_http_complex_value_t *) NULL)
#define ngx_zertiban_upstream_name(u)         ((ngx_str_t *) NULL)

#endif


/* whether clients speak TLS with what is listened on, and one has */

#if (nginx_version >= 1025000)

#define ngx_zertiban_listen_ssl(opt)       ((opt)->ssl || (opt)->quic)

#else

#define ngx_zertiban_listen_ssl(opt)       ((opt)->ssl)

#endif


#define ngx_zertiban_over_ssl(r)           ((r)->connection->ssl != NULL)

/* whether the server demands a certificate of its clients */

#define ngx_zertiban_verify_client(sscf)                                      \
    (((ngx_http_ssl_srv_conf_t *) (sscf))->verify == 1)


/*
 * whether the client has sent one, and it was this server that has verified it,
 * and not another one that listens on the same address: what a session that is
 * resumed says of the certificate may be from there, since OpenSSL looks for
 * the session of TLS 1.3 before it knows the server's name
 */

static ngx_inline ngx_uint_t
ngx_zertiban_verified(ngx_http_request_t *r, void *server)
{
    ngx_str_t                 s;
    ngx_connection_t         *c;
    ngx_http_ssl_srv_conf_t  *sscf = server;

    c = r->connection;

    return c->ssl
           && SSL_get_SSL_CTX(c->ssl->connection) == sscf->ssl.ctx
           && !SSL_session_reused(c->ssl->connection)
           && ngx_ssl_get_client_verify(c, r->pool, &s) == NGX_OK
           && s.len == sizeof("SUCCESS") - 1
           && ngx_strncmp(s.data, "SUCCESS", s.len) == 0;
}


/*
 * Whether the connection of a request is one of several on a socket.  What the
 * module is configured with does not tell what nginx can, but the members are
 * there.
 */

#if (nginx_version >= 1025000 && (NGX_QUIC || NGX_COMPAT))

#define ngx_zertiban_multiplexed(r)                                           \
    ((r)->stream || (r)->connection->quic)

#else

#define ngx_zertiban_multiplexed(r)        ((r)->stream != NULL)

#endif


#if (nginx_version >= 1027002 && !defined NGINX_NAME)

/* since 1.27.2 the caller says whether trailers are to be kept */

#define ngx_zertiban_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx, 0)

#else

#define ngx_zertiban_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx)

#endif


/* whether a resolver has servers that are named, and a socket to one */

#ifdef angie_version

/*
 * They are a list.  There is always a resolver that has those of resolv.conf,
 * behind one that stands for this file: it knows less names than the system.
 */

#define ngx_zertiban_resolver_usable(r)                                       \
    ((r)->connections != NULL                                                 \
     && ((r)->resolv_conf.len == 0                                            \
         || (r)->last_conf_connection != (r)->connections))


static ngx_inline ngx_uint_t
ngx_zertiban_resolver_asked(ngx_resolver_t *r)
{
    ngx_resolver_connection_t  *rec;

    for (rec = r->connections; rec; rec = rec->next) {
        if (rec->udp || rec->tcp) {
            return 1;
        }
    }

    return 0;
}


#else

#define ngx_zertiban_resolver_usable(r)    ((r)->connections.nelts != 0)


static ngx_inline ngx_uint_t
ngx_zertiban_resolver_asked(ngx_resolver_t *r)
{
    ngx_uint_t                  i;
    ngx_resolver_connection_t  *rec;

    rec = r->connections.elts;

    for (i = 0; i < r->connections.nelts; i++) {
        if (rec[i].udp || rec[i].tcp) {
            return 1;
        }
    }

    return 0;
}


#endif


/* the lines of a log with a writer of its own: plain text, all of them */

#ifdef angie_version

#define ngx_zertiban_log_plain(log)                                           \
    (log)->limit = NULL;                                                      \
    (log)->filter = NULL;                                                     \
    ngx_memzero(&(log)->format, sizeof(ngx_log_format_t))

#define ngx_zertiban_log_core(level, log, ...)                                \
    ngx_log_error_core(level, log, ngx_src_file(), __VA_ARGS__)

#else

#define ngx_zertiban_log_plain(log)
#define ngx_zertiban_log_core              ngx_log_error_core

#endif


/* whether the headers of an upstream request are those of HTTP/3 */

#if (defined angie_version && NGX_HTTP_V3)

#define ngx_zertiban_upstream_v3(u)        ((u)->h3 && !(u)->hq)

#else

#define ngx_zertiban_upstream_v3(u)        0

#endif


/* whether a block is of requests that nginx makes for itself, as for ACME */

#if (defined NGX_HTTP_CLIENT)

static ngx_inline ngx_uint_t
ngx_zertiban_own_requests(ngx_conf_t *cf)
{
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return cscf->is_client;
}


#else

#define ngx_zertiban_own_requests(cf)      0

#endif


#endif /* _NGX_ZERTIBAN_COMPAT_H_INCLUDED_ */
