
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The URL of the endpoint.
 */


#include "fuzz.h"

#include "ngx_zertiban_endpoint.h"


/* what a second reader makes of it */

typedef struct {
    ngx_uint_t       ssl;
    ngx_str_t        host;            /* as written, with brackets */
    ngx_uint_t       port;
    ngx_str_t        uri;

    struct in_addr   in;
    struct in6_addr  in6;

    unsigned         literal:1;       /* "in" */
    unsigned         literal6:1;      /* "in6" */
} fuzz_url_t;


static ngx_int_t fuzz_split(ngx_pool_t *pool, ngx_str_t *url, fuzz_url_t *u);
static ngx_int_t fuzz_authority(ngx_pool_t *pool, ngx_str_t *authority,
    fuzz_url_t *u);
static ngx_int_t fuzz_host(char *text, fuzz_url_t *u);
static ngx_uint_t fuzz_colons(char *text);
static void fuzz_compare(ngx_pool_t *pool, ngx_str_t *url, fuzz_url_t *u,
    ngx_zertiban_endpoint_t *endpoint);
static void fuzz_address(fuzz_url_t *u, ngx_zertiban_endpoint_t *endpoint);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    char                     *err;
    uint32_t                  seed;
    ngx_int_t                 rc, expected;
    ngx_str_t                 url;
    fuzz_url_t                u;
    ngx_zertiban_endpoint_t   endpoint;

    url = fuzz_copy(pool, input);

    err = "";
    rc = ngx_zertiban_endpoint_parse(pool, &url, &endpoint, &err);

    expected = fuzz_split(pool, &url, &u);

    fuzz_check(rc == expected || expected == NGX_DECLINED);

    if (rc == NGX_OK) {
        fuzz_check(err == NULL);
        fuzz_compare(pool, &url, &u, &endpoint);

        if (expected == NGX_OK) {
            fuzz_address(&u, &endpoint);
        }

    } else {
        fuzz_check(rc == NGX_ERROR);
        fuzz_check(err != NULL && *err);
    }

    seed = fuzz_seed(input);
    fuzz_fail_after(fuzz_random(&seed, 8));

    err = "";

    if (ngx_zertiban_endpoint_parse(pool, &url, &endpoint, &err) != rc) {
        fuzz_check(fuzz_has_failed());
        fuzz_check(rc == NGX_OK);
        fuzz_check(err == NULL);
    }
}


static ngx_int_t
fuzz_split(ngx_pool_t *pool, ngx_str_t *url, fuzz_url_t *u)
{
    size_t     i, scheme;
    ngx_str_t  authority;

    ngx_memzero(u, sizeof(fuzz_url_t));

    if (url->len >= 8
        && strncasecmp((char *) url->data, "https://", 8) == 0)
    {
        u->ssl = 1;
        scheme = 8;

    } else if (url->len >= 7
               && strncasecmp((char *) url->data, "http://", 7) == 0)
    {
        scheme = 7;

    } else {
        return NGX_ERROR;
    }

    for (i = scheme; i < url->len; i++) {
        if (url->data[i] <= 0x20 || url->data[i] >= 0x7f
            || url->data[i] == '#')
        {
            return NGX_ERROR;
        }
    }

    for (i = scheme; i < url->len; i++) {
        if (url->data[i] == '/' || url->data[i] == '?') {
            break;
        }
    }

    authority.data = url->data + scheme;
    authority.len = i - scheme;

    u->uri.data = url->data + i;
    u->uri.len = url->len - i;

    return fuzz_authority(pool, &authority, u);
}


static ngx_int_t
fuzz_authority(ngx_pool_t *pool, ngx_str_t *authority, fuzz_url_t *u)
{
    char    *text, *port;
    size_t   len;

    text = ngx_pnalloc(pool, authority->len + 1);
    fuzz_check(text != NULL);

    (void) ngx_cpystrn((u_char *) text, authority->data, authority->len + 1);

    len = (text[0] == '[') ? strcspn(text, "]") + 1 : strcspn(text, ":");

    if (len == 0 || len > authority->len) {
        return NGX_ERROR;
    }

    u->host.len = len;
    u->host.data = authority->data;

    u->port = u->ssl ? 443 : 80;
    port = text + len;

    if (*port) {
        *port++ = '\0';

        if (authority->data[len] != ':'
            || *port == '\0'
            || port[strspn(port, "0123456789")])
        {
            return NGX_ERROR;
        }

        u->port = strtoul(port, NULL, 10);

        if (u->port < 1 || u->port > 65535) {
            return NGX_ERROR;
        }

        if (strcasecmp(text, "unix") == 0) {

            /* for nginx it is a socket */

            return NGX_ERROR;
        }
    }

    return fuzz_host(text, u);
}


/* NGX_DECLINED for what nginx's own functions may take for an address */

static ngx_int_t
fuzz_host(char *text, fuzz_url_t *u)
{
    size_t  len;

    len = ngx_strlen(text);

    if (text[0] == '[') {
        text[len - 1] = '\0';
        u->literal6 = inet_pton(AF_INET6, text + 1, &u->in6);

        if (u->literal6 && fuzz_colons(text + 1) == 8) {

            /* nginx wants more than one group to be left out at the end */

            return NGX_DECLINED;
        }

        if (u->literal6) {
            return IN6_IS_ADDR_UNSPECIFIED(&u->in6) ? NGX_ERROR : NGX_OK;
        }

        return text[1 + strspn(text + 1, ":.0123456789abcdefABCDEF")]
               ? NGX_ERROR : NGX_DECLINED;
    }

    if (text[0] == '.') {

        /* OpenSSL would take it for all names that end so */

        return NGX_ERROR;
    }

    if (strspn(text, "-._0123456789"
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        != len)
    {
        return NGX_ERROR;
    }

    u->literal = inet_pton(AF_INET, text, &u->in);

    if (u->literal) {
        u->literal = (u->in.s_addr != INADDR_NONE);
        return (u->in.s_addr == INADDR_ANY) ? NGX_ERROR : NGX_OK;
    }

    return (strspn(text, ".0123456789") == len) ? NGX_DECLINED : NGX_OK;
}


static ngx_uint_t
fuzz_colons(char *text)
{
    ngx_uint_t  n;

    for (n = 0; *text; text++) {
        n += (*text == ':');
    }

    return n;
}


static void
fuzz_compare(ngx_pool_t *pool, ngx_str_t *url, fuzz_url_t *u,
    ngx_zertiban_endpoint_t *endpoint)
{
    u_char      *p;
    ngx_str_t    host, expected;

    fuzz_check(fuzz_str_eq(&endpoint->url, url));
    fuzz_check(endpoint->ssl == u->ssl);
    fuzz_check(endpoint->port == u->port);

    /* where a request goes to, and what it names */

    p = ngx_pnalloc(pool, u->host.len + u->uri.len + sizeof(":65535/"));
    fuzz_check(p != NULL);

    expected.data = p;
    p = ngx_cpymem(p, u->host.data, u->host.len);

    if (u->port != (u->ssl ? 443 : 80)) {
        p = ngx_sprintf(p, ":%ui", u->port);
    }

    expected.len = p - expected.data;
    fuzz_check(fuzz_str_eq(&endpoint->host_header, &expected));

    p = expected.data;

    if (u->uri.len == 0 || u->uri.data[0] == '?') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, u->uri.data, u->uri.len);

    expected.len = p - expected.data;
    fuzz_check(fuzz_str_eq(&endpoint->uri, &expected));

    host = u->host;

    if (host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    }

    fuzz_check(endpoint->host.len == host.len);
    fuzz_check(ngx_strlen(endpoint->host.data) == host.len);
    fuzz_check(strncasecmp((char *) endpoint->host.data, (char *) host.data,
                           host.len) == 0);

    for (p = endpoint->host.data; *p; p++) {
        fuzz_check(*p < 'A' || *p > 'Z');
    }
}


static void
fuzz_address(fuzz_url_t *u, ngx_zertiban_endpoint_t *endpoint)
{
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    /* ::1 and ::ffff:127.0.0.0/104 */

    static const unsigned char  one[16] = { [15] = 1 };
    static const unsigned char  mapped[13] = { [10] = 0xff, 0xff, 127 };

    fuzz_check(endpoint->literal == endpoint->resolved);
    fuzz_check(endpoint->literal == (endpoint->naddrs != 0));
    fuzz_check(endpoint->literal == (u->literal || u->literal6));

    if (!endpoint->literal) {
        fuzz_check(endpoint->loopback
                   == (strcmp((char *) endpoint->host.data, "localhost")
                       == 0));
        return;
    }

    fuzz_check(endpoint->naddrs == 1);

    if (u->literal6) {
        sin6 = (struct sockaddr_in6 *) endpoint->addrs[0].sockaddr;

        fuzz_check(sin6->sin6_family == AF_INET6);
        fuzz_check(ntohs(sin6->sin6_port) == endpoint->port);
        fuzz_check(ngx_memcmp(&sin6->sin6_addr, &u->in6, 16) == 0);
        fuzz_check(endpoint->loopback
                   == (memcmp(&u->in6, one, 16) == 0
                       || memcmp(&u->in6, mapped, 13) == 0));
        return;
    }

    sin = (struct sockaddr_in *) endpoint->addrs[0].sockaddr;

    fuzz_check(sin->sin_family == AF_INET);
    fuzz_check(ntohs(sin->sin_port) == endpoint->port);
    fuzz_check(sin->sin_addr.s_addr == u->in.s_addr);
    fuzz_check(endpoint->loopback == (ntohl(u->in.s_addr) >> 24 == 127));
}
