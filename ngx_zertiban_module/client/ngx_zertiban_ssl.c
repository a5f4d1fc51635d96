
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * TLS towards the token endpoint.
 */


#include "ngx_zertiban_ssl.h"

#include <openssl/x509v3.h>


static ngx_int_t ngx_zertiban_ssl_ca(ngx_conf_t *cf,
    ngx_zertiban_ssl_conf_t *conf);
static char *ngx_zertiban_ssl_name(ngx_pool_t *pool, ngx_str_t *host);


void
ngx_zertiban_ssl_init_conf(ngx_zertiban_ssl_conf_t *conf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->protocols = 0;
     *     conf->ciphers = { 0, NULL };
     *     conf->trusted_certificate = { 0, NULL };
     *     conf->crl = { 0, NULL };
     *     conf->certificate = { 0, NULL };
     *     conf->certificate_key = { 0, NULL };
     *     conf->name = { 0, NULL };
     *     conf->ssl = NULL;
     */

    conf->verify = NGX_CONF_UNSET;
    conf->server_name = NGX_CONF_UNSET;
    conf->verify_depth = NGX_CONF_UNSET_UINT;
}


ngx_int_t
ngx_zertiban_ssl_merge_conf(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf,
    ngx_zertiban_ssl_conf_t *prev)
{
    ngx_uint_t  preserve;

    /* "name" and "server_name" belong to a connection, not to the context */

    preserve = (conf->verify == NGX_CONF_UNSET
                && conf->verify_depth == NGX_CONF_UNSET_UINT
                && conf->protocols == 0
                && conf->ciphers.data == NULL
                && conf->trusted_certificate.data == NULL
                && conf->crl.data == NULL
                && conf->certificate.data == NULL
                && conf->certificate_key.data == NULL);

    ngx_conf_merge_value(conf->verify, prev->verify, 1);
    ngx_conf_merge_value(conf->server_name, prev->server_name, 1);
    ngx_conf_merge_uint_value(conf->verify_depth, prev->verify_depth, 1);
    ngx_conf_merge_bitmask_value(conf->protocols, prev->protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));
    ngx_conf_merge_str_value(conf->ciphers, prev->ciphers, "DEFAULT");
    ngx_conf_merge_str_value(conf->trusted_certificate,
                             prev->trusted_certificate, "");
    ngx_conf_merge_str_value(conf->crl, prev->crl, "");
    ngx_conf_merge_str_value(conf->certificate, prev->certificate, "");
    ngx_conf_merge_str_value(conf->certificate_key, prev->certificate_key, "");
    ngx_conf_merge_str_value(conf->name, prev->name, "");

    if (preserve && prev->ssl) {
        conf->ssl = prev->ssl;
        return NGX_OK;
    }

    conf->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (conf->ssl == NULL) {
        return NGX_ERROR;
    }

    conf->ssl->log = cf->log;

    /* as in ngx_http_proxy_merge_ssl(): siblings inherit it as well */

    if (preserve) {
        prev->ssl = conf->ssl;
    }

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_ssl_create(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf)
{
    ngx_pool_cleanup_t  *cln;

    if (conf->ssl->ctx) {
        return NGX_OK;
    }

    if (ngx_ssl_create(conf->ssl, conf->protocols, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(conf->ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = conf->ssl;

#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF

    /* set by ngx_ssl_create(): an answer that is read to close may be cut */

    SSL_CTX_clear_options(conf->ssl->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);

#endif

    if (ngx_ssl_ciphers(cf, conf->ssl, &conf->ciphers, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->certificate.len
        && ngx_ssl_certificate(cf, conf->ssl, &conf->certificate,
                               &conf->certificate_key, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return conf->verify ? ngx_zertiban_ssl_ca(cf, conf) : NGX_OK;
}


ngx_int_t
ngx_zertiban_ssl_trust(ngx_pool_t *pool, ngx_zertiban_ssl_conf_t *conf,
    ngx_str_t *trust)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    ngx_str_t *value[] = {
        &conf->ciphers,
        &conf->trusted_certificate,
        &conf->crl,
        &conf->certificate,
        &conf->certificate_key,
        &conf->name
    };

    static const ngx_uint_t  n = sizeof(value) / sizeof(value[0]);

    len = 4 * NGX_INT_T_LEN + 3;

    for (i = 0; i < n; i++) {
        len += 1 + NGX_SIZE_T_LEN + 1 + value[i]->len;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    trust->data = p;

    p = ngx_sprintf(p, "%i,%i,%ui,%ui", conf->verify, conf->server_name,
                    conf->verify_depth, conf->protocols);

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, ",%uz:%V", value[i]->len, value[i]);
    }

    trust->len = p - trust->data;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_ssl_ca(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf)
{
    if (conf->trusted_certificate.len) {

        if (ngx_ssl_trusted_certificate(cf, conf->ssl,
                                        &conf->trusted_certificate,
                                        (ngx_int_t) conf->verify_depth)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (SSL_CTX_set_default_verify_paths(conf->ssl->ctx) == 0) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    if (ngx_ssl_crl(cf, conf->ssl, &conf->crl) != NGX_OK) {
        return NGX_ERROR;
    }

    /* nginx's own callback lets every certificate pass the handshake */

    SSL_CTX_set_verify(conf->ssl->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(conf->ssl->ctx, (int) conf->verify_depth);

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_ssl_connection(ngx_connection_t *c, ngx_zertiban_ssl_conf_t *conf,
    ngx_zertiban_endpoint_t *endpoint)
{
    int                 rc;
    char               *name;
    u_char              addr[16], *p;
    size_t              len;
    ngx_uint_t          literal;
    X509_VERIFY_PARAM  *param;

    if (ngx_ssl_create_connection(conf->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = ngx_zertiban_ssl_name(c->pool, conf->name.len ? &conf->name
                                                         : &endpoint->host);
    if (name == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) name;
    len = ngx_strlen(name);

    literal = (ngx_inet_addr(p, len) != INADDR_NONE
               || ngx_inet6_addr(p, len, addr) == NGX_OK);

    if (conf->server_name && !literal
        && SSL_set_tlsext_host_name(c->ssl->connection, name) == 0)
    {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name() failed");
        return NGX_ERROR;
    }

    if (!conf->verify) {
        return NGX_OK;
    }

    /* X509_check_host(), and so ngx_ssl_check_host(), ignores addresses */

    param = SSL_get0_param(c->ssl->connection);

    if (literal) {
        rc = X509_VERIFY_PARAM_set1_ip_asc(param, name);

    } else {
        X509_VERIFY_PARAM_set_hostflags(param,
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        rc = X509_VERIFY_PARAM_set1_host(param, name, len);
    }

    if (rc == 0) {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "X509_VERIFY_PARAM_set1() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* of an absolute name TLS does not have the dot: RFC 6066, section 3 */

static char *
ngx_zertiban_ssl_name(ngx_pool_t *pool, ngx_str_t *host)
{
    size_t   len;
    u_char  *name;

    len = host->len;

    if (len > 1 && host->data[len - 1] == '.') {
        len--;
    }

    name = ngx_pnalloc(pool, len + 1);

    if (name) {
        (void) ngx_cpystrn(name, host->data, len + 1);
    }

    return (char *) name;
}


const char *
ngx_zertiban_ssl_verify_error(ngx_connection_t *c)
{
    long  rc;

    rc = SSL_get_verify_result(c->ssl->connection);

    return rc == X509_V_OK ? NULL : X509_verify_cert_error_string(rc);
}


ngx_uint_t
ngx_zertiban_ssl_certified(ngx_connection_t *c)
{
    X509  *cert;

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return 0;
    }

    X509_free(cert);

    return 1;
}


ngx_uint_t
ngx_zertiban_ssl_closed(ngx_connection_t *c)
{
    return (SSL_get_shutdown(c->ssl->connection) & SSL_RECEIVED_SHUTDOWN) != 0;
}
