
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


#endif /* _NGX_ZERTIBAN_ENDPOINT_H_INCLUDED_ */
