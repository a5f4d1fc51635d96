
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ENDPOINT_H_INCLUDED_
#define _NGX_ZERTIBAN_ENDPOINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t      url;               /* as configured, for logs */
    ngx_str_t      uri;               /* path and arguments */
    ngx_str_t      host;              /* without brackets, null-terminated */
    ngx_str_t      host_header;       /* with the port if not the default */
    in_port_t      port;

    ngx_addr_t    *addrs;
    ngx_uint_t     naddrs;

    unsigned       ssl:1;
    unsigned       literal:1;         /* the host is an IP address */
    unsigned       loopback:1;        /* an address or name of this machine */
    unsigned       resolved:1;
} ngx_zertiban_endpoint_t;


/*
 * Splits "url" (RFC 3986, http or https only) into "endpoint"; all memory is
 * of "pool".  Nothing is looked up.
 *
 * Returns NGX_OK; NGX_ERROR with a static text in "*err", or with NULL there
 * if there is no memory.
 */

ngx_int_t ngx_zertiban_endpoint_parse(ngx_pool_t *pool, ngx_str_t *url,
    ngx_zertiban_endpoint_t *endpoint, char **err);

/*
 * Looks the host up, blocking: at configuration time only.  A name that has
 * no address now leaves endpoint->naddrs at 0 and a static text in "*err".
 *
 * Returns NGX_OK, NGX_DECLINED for such a name, NGX_ERROR.
 */

ngx_int_t ngx_zertiban_endpoint_resolve(ngx_pool_t *pool,
    ngx_zertiban_endpoint_t *endpoint, char **err);

/* whether a host is an address of IPv4 or IPv6, without brackets */

ngx_uint_t ngx_zertiban_endpoint_address(u_char *host, size_t len);


/* whether what is sent to an address stays on this machine */

static ngx_inline ngx_uint_t
ngx_zertiban_endpoint_local(struct sockaddr *sa)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    if (sa->sa_family == AF_INET) {
        sin = (struct sockaddr_in *) sa;
        return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
    }

#if (NGX_HAVE_INET6)

    if (sa->sa_family == AF_INET6) {
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127);
    }

#endif

    return sa->sa_family == AF_UNIX;
}


#endif /* _NGX_ZERTIBAN_ENDPOINT_H_INCLUDED_ */
