
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * TLS towards the token endpoint.
 */


#include "ngx_zertiban_ssl.h"

#include <openssl/x509v3.h>


/* what OpenSSL is given, to be named if it cannot use it */

typedef struct {
    ngx_log_t                log;
    char                    *text;
    ngx_zertiban_place_t    *place;
} ngx_zertiban_ssl_subject_t;


static void ngx_zertiban_ssl_merge_text(ngx_zertiban_text_t *conf,
    ngx_zertiban_text_t *prev, char *value);
static ngx_int_t ngx_zertiban_ssl_set(ngx_conf_t *cf,
    ngx_zertiban_ssl_conf_t *conf, ngx_zertiban_ssl_subject_t *subject);
static ngx_int_t ngx_zertiban_ssl_ca(ngx_conf_t *cf,
    ngx_zertiban_ssl_conf_t *conf, ngx_zertiban_ssl_subject_t *subject);
static void ngx_zertiban_ssl_subject(ngx_zertiban_ssl_subject_t *subject,
    ngx_zertiban_text_t *value, char *text);
static u_char *ngx_zertiban_ssl_log(ngx_log_t *log, u_char *buf, size_t len);
static char *ngx_zertiban_ssl_name(ngx_pool_t *pool, ngx_str_t *host);


void
ngx_zertiban_ssl_init_conf(ngx_zertiban_ssl_conf_t *conf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->protocols = 0;
     *     conf->ciphers = { { 0, NULL }, { { 0, NULL }, 0 } };
     *     conf->trusted_certificate = { { 0, NULL }, { { 0, NULL }, 0 } };
     *     conf->crl = { { 0, NULL }, { { 0, NULL }, 0 } };
     *     conf->certificate = { { 0, NULL }, { { 0, NULL }, 0 } };
     *     conf->certificate_key = { { 0, NULL }, { { 0, NULL }, 0 } };
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
                && conf->ciphers.value.data == NULL
                && conf->trusted_certificate.value.data == NULL
                && conf->crl.value.data == NULL
                && conf->certificate.value.data == NULL
                && conf->certificate_key.value.data == NULL);

    ngx_conf_merge_value(conf->verify, prev->verify, 1);
    ngx_conf_merge_value(conf->server_name, prev->server_name, 1);
    ngx_conf_merge_uint_value(conf->verify_depth, prev->verify_depth, 1);
    ngx_conf_merge_bitmask_value(conf->protocols, prev->protocols,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3));
    ngx_zertiban_ssl_merge_text(&conf->ciphers, &prev->ciphers, "DEFAULT");
    ngx_zertiban_ssl_merge_text(&conf->trusted_certificate,
                                &prev->trusted_certificate, "");
    ngx_zertiban_ssl_merge_text(&conf->crl, &prev->crl, "");
    ngx_zertiban_ssl_merge_text(&conf->certificate, &prev->certificate, "");
    ngx_zertiban_ssl_merge_text(&conf->certificate_key,
                                &prev->certificate_key, "");
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


static void
ngx_zertiban_ssl_merge_text(ngx_zertiban_text_t *conf,
    ngx_zertiban_text_t *prev, char *value)
{
    if (conf->value.data) {
        return;
    }

    *conf = *prev;

    if (conf->value.data == NULL) {
        conf->value.len = ngx_strlen(value);
        conf->value.data = (u_char *) value;
    }
}


ngx_int_t
ngx_zertiban_ssl_create(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf)
{
    ngx_int_t                    rc;
    ngx_pool_cleanup_t          *cln;
    ngx_zertiban_ssl_subject_t  *subject;

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

    subject = ngx_pcalloc(cf->temp_pool, sizeof(ngx_zertiban_ssl_subject_t));
    if (subject == NULL) {
        return NGX_ERROR;
    }

    /* nginx tells the log of the context only the value and OpenSSL's reason */

    subject->log = *cf->log;
    subject->log.handler = ngx_zertiban_ssl_log;
    subject->log.data = subject;

    conf->ssl->log = &subject->log;
    rc = ngx_zertiban_ssl_set(cf, conf, subject);
    conf->ssl->log = cf->log;

    return rc;
}


static ngx_int_t
ngx_zertiban_ssl_set(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf,
    ngx_zertiban_ssl_subject_t *subject)
{
    ngx_zertiban_ssl_subject(subject, &conf->ciphers,
                             "\"zertiban_ssl_ciphers\" is a list of ciphers");

    if (ngx_ssl_ciphers(cf, conf->ssl, &conf->ciphers.value, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_zertiban_ssl_subject(subject, &conf->certificate,
                             "\"zertiban_ssl_certificate\" and "
                             "\"zertiban_ssl_certificate_key\" are PEM files "
                             "that belong together");

    if (conf->certificate.value.len
        && ngx_ssl_certificate(cf, conf->ssl, &conf->certificate.value,
                               &conf->certificate_key.value, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return conf->verify ? ngx_zertiban_ssl_ca(cf, conf, subject) : NGX_OK;
}


ngx_int_t
ngx_zertiban_ssl_trust(ngx_pool_t *pool, ngx_zertiban_ssl_conf_t *conf,
    ngx_str_t *trust)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    ngx_str_t *value[] = {
        &conf->ciphers.value,
        &conf->trusted_certificate.value,
        &conf->crl.value,
        &conf->certificate.value,
        &conf->certificate_key.value,
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
ngx_zertiban_ssl_ca(ngx_conf_t *cf, ngx_zertiban_ssl_conf_t *conf,
    ngx_zertiban_ssl_subject_t *subject)
{
    ngx_zertiban_ssl_subject(subject, &conf->trusted_certificate,
                             "\"zertiban_ssl_trusted_certificate\" is a PEM "
                             "file of CA certificates");

    if (conf->trusted_certificate.value.len) {

        if (ngx_ssl_trusted_certificate(cf, conf->ssl,
                                        &conf->trusted_certificate.value,
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

    ngx_zertiban_ssl_subject(subject, &conf->crl,
                             "\"zertiban_ssl_crl\" is a PEM file of revocation "
                             "lists");

    if (ngx_ssl_crl(cf, conf->ssl, &conf->crl.value) != NGX_OK) {
        return NGX_ERROR;
    }

    /* nginx's own callback lets every certificate pass the handshake */

    SSL_CTX_set_verify(conf->ssl->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(conf->ssl->ctx, (int) conf->verify_depth);

    return NGX_OK;
}


static void
ngx_zertiban_ssl_subject(ngx_zertiban_ssl_subject_t *subject,
    ngx_zertiban_text_t *value, char *text)
{
    subject->text = text;
    subject->place = &value->place;
}


static u_char *
ngx_zertiban_ssl_log(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_zertiban_ssl_subject_t  *subject;

    subject = log->data;

    /* a default stands nowhere */

    if (subject->place->file.len == 0) {
        return buf;
    }

    return ngx_snprintf(buf, len, ": see that %s, in %V:%ui", subject->text,
                        &subject->place->file, subject->place->line);
}


ngx_int_t
ngx_zertiban_ssl_connection(ngx_connection_t *c, ngx_zertiban_ssl_conf_t *conf,
    ngx_zertiban_endpoint_t *endpoint)
{
    int                 rc;
    char               *name;
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

    len = ngx_strlen(name);
    literal = ngx_zertiban_endpoint_address((u_char *) name, len);

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
