
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SSL_H_INCLUDED_
#define _NGX_ZERTIBAN_SSL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_zertiban_endpoint.h"
#include "ngx_zertiban_place.h"


/* "zertiban_ssl_*": the connection to the token endpoint */

typedef struct {
    ngx_flag_t              verify;
    ngx_flag_t              server_name;
    ngx_uint_t              verify_depth;
    ngx_uint_t              protocols;
    ngx_zertiban_text_t     ciphers;
    ngx_zertiban_text_t     trusted_certificate;
    ngx_zertiban_text_t     crl;
    ngx_zertiban_text_t     certificate;
    ngx_zertiban_text_t     certificate_key;
    ngx_str_t               name;

    ngx_ssl_t              *ssl;
} ngx_zertiban_ssl_conf_t;


/* "conf" is zeroed memory */

void ngx_zertiban_ssl_init_conf(ngx_zertiban_ssl_conf_t *conf);

/* locations with the same settings share conf->ssl, of cf->pool */

ngx_int_t ngx_zertiban_ssl_merge_conf(ngx_conf_t *cf,
    ngx_zertiban_ssl_conf_t *conf, ngx_zertiban_ssl_conf_t *prev);

/*
 * Makes the SSL context of merged settings, once.  Without
 * "zertiban_ssl_trusted_certificate" the CA store is OpenSSL's default one.
 * What OpenSSL cannot use is logged with its directive and the place of that.
 */

ngx_int_t ngx_zertiban_ssl_create(ngx_conf_t *cf,
    ngx_zertiban_ssl_conf_t *conf);

/*
 * All merged settings in one string of "pool": locations with the same string
 * send the secret to the same servers, if these prove the same.
 */

ngx_int_t ngx_zertiban_ssl_trust(ngx_pool_t *pool,
    ngx_zertiban_ssl_conf_t *conf, ngx_str_t *trust);

/*
 * Turns "c" into a TLS client which sends SNI, RFC 6066, section 3, and fails
 * the handshake unless the certificate is for the endpoint's host, RFC 6125
 * (for an address, the address).  A final dot of the host is not part of these
 * names.
 */

ngx_int_t ngx_zertiban_ssl_connection(ngx_connection_t *c,
    ngx_zertiban_ssl_conf_t *conf, ngx_zertiban_endpoint_t *endpoint);

/* why the certificate was not accepted: a static text, NULL if it was */

const char *ngx_zertiban_ssl_verify_error(ngx_connection_t *c);

/* whether the peer has sent a certificate */

ngx_uint_t ngx_zertiban_ssl_certified(ngx_connection_t *c);

/* whether the peer has said, at the end of what it sent, that this is all */

ngx_uint_t ngx_zertiban_ssl_closed(ngx_connection_t *c);


#endif /* _NGX_ZERTIBAN_SSL_H_INCLUDED_ */
