
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The token endpoint: its URL and, at configuration time, its addresses.
 */


#include "ngx_zertiban_endpoint.h"


static ngx_int_t ngx_zertiban_endpoint_split(ngx_pool_t *pool, ngx_str_t *url,
    ngx_uint_t scheme, ngx_url_t *u, char **err);
static ngx_uint_t ngx_zertiban_endpoint_host_char(u_char ch, u_char first);
static ngx_int_t ngx_zertiban_endpoint_set(ngx_pool_t *pool, ngx_url_t *u,
    ngx_zertiban_endpoint_t *endpoint);
static ngx_uint_t ngx_zertiban_endpoint_loopback(ngx_url_t *u);


ngx_int_t
ngx_zertiban_endpoint_parse(ngx_pool_t *pool, ngx_str_t *url,
    ngx_zertiban_endpoint_t *endpoint, char **err)
{
    ngx_url_t   u;
    ngx_uint_t  scheme;

    ngx_memzero(endpoint, sizeof(ngx_zertiban_endpoint_t));

    if (url->len >= 8
        && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
        scheme = 8;
        endpoint->ssl = 1;

    } else if (url->len >= 7
               && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
    {
        scheme = 7;

    } else {
        *err = "it must begin with \"https://\" or \"http://\"";
        return NGX_ERROR;
    }

    endpoint->url = *url;

    if (ngx_zertiban_endpoint_split(pool, url, scheme, &u, err) != NGX_OK) {
        return NGX_ERROR;
    }

    *err = NULL;

    return ngx_zertiban_endpoint_set(pool, &u, endpoint);
}


static ngx_int_t
ngx_zertiban_endpoint_split(ngx_pool_t *pool, ngx_str_t *url,
    ngx_uint_t scheme, ngx_url_t *u, char **err)
{
    u_char  ch;
    size_t  i, end;

    end = url->len;

    for (i = scheme; i < url->len; i++) {
        ch = url->data[i];

        if (ch <= 0x20 || ch >= 0x7f) {
            *err = "it must consist of visible ASCII characters";
            return NGX_ERROR;
        }

        if (ch == '#') {
            *err = "it must not have a fragment";
            return NGX_ERROR;
        }

        if (i < end && (ch == '/' || ch == '?')) {
            end = i;
        }

        if (i >= end) {
            continue;
        }

        if (ch == '@') {
            *err = "it must not have user information";
            return NGX_ERROR;
        }

        if (!ngx_zertiban_endpoint_host_char(ch, url->data[scheme])) {
            *err = "the host has a character that is in no name of a host";
            return NGX_ERROR;
        }
    }

    if (url->len > scheme && url->data[scheme] == '.') {
        *err = "the host begins with a dot, write its name in full";
        return NGX_ERROR;
    }

    if (end - scheme >= 5
        && ngx_strncasecmp(url->data + scheme, (u_char *) "unix:", 5) == 0)
    {
        *err = "a unix domain socket cannot be the token endpoint, write a "
               "host name or an address";
        return NGX_ERROR;
    }

    ngx_memzero(u, sizeof(ngx_url_t));

    /* ngx_parse_url() does not see a "?" behind an IPv6 address */

    u->uri.len = url->len - end;
    u->uri.data = url->data + end;

    u->url.len = end - scheme;
    u->url.data = url->data + scheme;
    u->default_port = (scheme == 8) ? 443 : 80;
    u->no_resolve = 1;

    if (ngx_parse_url(pool, u) != NGX_OK) {
        *err = u->err ? "it must have a host, and a port of 1 to 65535 if any"
                      : NULL;
        return NGX_ERROR;
    }

    if (u->wildcard) {
        *err = "the address is a wildcard";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_zertiban_endpoint_host_char(u_char ch, u_char first)
{
    u_char  c;

    c = (u_char) (ch | 0x20);

    if ((ch >= '0' && ch <= '9') || (c >= 'a' && c <= 'z')) {
        return 1;
    }

    switch (ch) {

    case '-':
    case '.':
    case '_':
    case ':':
        return 1;

    case '[':
    case ']':
        return (first == '[');

    default:
        return 0;
    }
}


static ngx_int_t
ngx_zertiban_endpoint_set(ngx_pool_t *pool, ngx_url_t *u,
    ngx_zertiban_endpoint_t *endpoint)
{
    u_char     *p;
    ngx_str_t   host, uri;

    uri = u->uri;

    if (uri.len == 0) {
        ngx_str_set(&uri, "/");
    }

    endpoint->uri.data = ngx_pnalloc(pool, uri.len + 1);
    if (endpoint->uri.data == NULL) {
        return NGX_ERROR;
    }

    p = endpoint->uri.data;

    if (uri.data[0] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, uri.data, uri.len);
    endpoint->uri.len = p - endpoint->uri.data;

    endpoint->port = u->port;

    endpoint->host_header.data = ngx_pnalloc(pool, u->host.len
                                             + sizeof(":65535") - 1);
    if (endpoint->host_header.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(endpoint->host_header.data, u->host.data, u->host.len);

    if (u->port != u->default_port) {
        p = ngx_sprintf(p, ":%ui", (ngx_uint_t) u->port);
    }

    endpoint->host_header.len = p - endpoint->host_header.data;

    host = u->host;

    if (host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    endpoint->host.data = ngx_pnalloc(pool, host.len + 1);
    if (endpoint->host.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(endpoint->host.data, host.data, host.len);
    endpoint->host.data[host.len] = '\0';
    endpoint->host.len = host.len;

    endpoint->loopback = ngx_zertiban_endpoint_loopback(u) ? 1 : 0;

    if (u->naddrs) {
        endpoint->literal = 1;
        endpoint->resolved = 1;
        endpoint->addrs = u->addrs;
        endpoint->naddrs = u->naddrs;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_zertiban_endpoint_loopback(ngx_url_t *u)
{
    if (u->naddrs == 0) {
        return u->host.len == sizeof("localhost") - 1
               && ngx_strncasecmp(u->host.data, (u_char *) "localhost",
                                  u->host.len) == 0;
    }

    return ngx_zertiban_endpoint_local(u->addrs[0].sockaddr);
}


ngx_uint_t
ngx_zertiban_endpoint_address(u_char *host, size_t len)
{
    u_char  addr[16];

    return ngx_inet_addr(host, len) != INADDR_NONE
           || ngx_inet6_addr(host, len, addr) == NGX_OK;
}


ngx_int_t
ngx_zertiban_endpoint_resolve(ngx_pool_t *pool,
    ngx_zertiban_endpoint_t *endpoint, char **err)
{
    ngx_url_t  u;

    if (endpoint->resolved) {
        return NGX_OK;
    }

    endpoint->resolved = 1;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host = endpoint->host;
    u.port = endpoint->port;

    if (ngx_inet_resolve_host(pool, &u) != NGX_OK) {

        if (u.err) {
            *err = u.err;
            return NGX_DECLINED;
        }

        return NGX_ERROR;
    }

    endpoint->addrs = u.addrs;
    endpoint->naddrs = u.naddrs;

    return NGX_OK;
}
