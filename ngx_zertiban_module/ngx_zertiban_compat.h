
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


#if (NGX_HTTP_SSL)

#define ngx_zertiban_over_ssl(r)           ((r)->connection->ssl != NULL)

/* whether the server demands a certificate that it can verify */

#define ngx_zertiban_verify_client(sscf)                                      \
    (((ngx_http_ssl_srv_conf_t *) (sscf))->verify == 1)

#else

#define ngx_zertiban_over_ssl(r)           0
#define ngx_zertiban_verify_client(sscf)   0

#endif


#if (NGX_HTTP_SSL)

/*
 * whether the client has sent one, and it was this server that has verified it,
 * and not another one that listens on the same address
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
           && ngx_ssl_get_client_verify(c, r->pool, &s) == NGX_OK
           && s.len == sizeof("SUCCESS") - 1
           && ngx_strncmp(s.data, "SUCCESS", s.len) == 0;
}


#else

#define ngx_zertiban_verified(r, server)   0

#endif


/* whether the connection of a request is one of several on a socket */

#if (NGX_HTTP_V2 && defined NGX_HTTP_V3)

#define ngx_zertiban_multiplexed(r)                                           \
    ((r)->stream || (r)->connection->quic)

#elif (NGX_HTTP_V2)

#define ngx_zertiban_multiplexed(r)        ((r)->stream)

#elif (NGX_HTTP_V3)

#define ngx_zertiban_multiplexed(r)        ((r)->connection->quic)

#else

#define ngx_zertiban_multiplexed(r)        0

#endif


#if (nginx_version >= 1027002)

/* since 1.27.2 the caller says whether trailers are to be kept */

#define ngx_zertiban_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx, 0)

#else

#define ngx_zertiban_parse_chunked(r, b, ctx)                                 \
    ngx_http_parse_chunked(r, b, ctx)

#endif


#endif /* _NGX_ZERTIBAN_COMPAT_H_INCLUDED_ */
