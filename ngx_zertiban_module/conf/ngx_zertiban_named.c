
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The credentials that the configuration names: equal ones of several locations
 * are one.
 */


#include "ngx_zertiban_named.h"
#include "ngx_zertiban_load.h"


static ngx_zertiban_credential_t *ngx_zertiban_named_create(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_identity_t *identity);
static ngx_uint_t ngx_zertiban_named_seen(
    ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_credential_t *credential);
static ngx_zertiban_credential_t *ngx_zertiban_named_twin(
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_identity_t *identity,
    ngx_queue_t **q);
static char *ngx_zertiban_named_add(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf);
static char *ngx_zertiban_named_added(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf, ngx_int_t rc);
static ngx_uint_t ngx_zertiban_named_place(ngx_zertiban_named_t *named,
    u_char *key);


char *
ngx_zertiban_named_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_str_t  *value, name;

    value = cf->args->elts;

    if (zlcf->pairs != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (zlcf->client_id != NGX_CONF_UNSET_PTR) {
        return ngx_zertiban_conf_both(cf, "zertiban_client_id");
    }

    if (zlcf->client_secret != NGX_CONF_UNSET_PTR) {
        return ngx_zertiban_conf_both(cf, zlcf->secret_file
                                          ? "zertiban_client_secret_file"
                                          : "zertiban_client_secret");
    }

    name = value[1];

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    zlcf->pairs = ngx_zertiban_pairs_create(cf->pool, &name);

    if (zlcf->pairs == NULL
        || ngx_zertiban_load_pairs(cf, &value[0], zlcf->pairs) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


void
ngx_zertiban_named_merge(ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_loc_conf_t *prev)
{
    if (conf->pairs == NGX_CONF_UNSET_PTR) {

        /* what is set on a level stands for what is around it */

        conf->pairs = (conf->client_id == NGX_CONF_UNSET_PTR
                       && conf->client_secret == NGX_CONF_UNSET_PTR
                       && prev->pairs != NGX_CONF_UNSET_PTR)
                      ? prev->pairs : NULL;
    }

    if (conf->pairs) {
        conf->client_id = NULL;
        conf->client_secret = NULL;
        return;
    }

    ngx_conf_merge_ptr_value(conf->client_id, prev->client_id, NULL);
    ngx_conf_merge_ptr_value(conf->client_secret, prev->client_secret, NULL);
}


char *
ngx_zertiban_named_credential(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf)
{
    ngx_zertiban_grant_t     grant;
    ngx_zertiban_identity_t  identity;

    grant.url = conf->client.endpoint->url;
    grant.scope = conf->scope;

    ngx_str_set(&grant.trust, "");

    if (conf->client.endpoint->ssl
        && ngx_zertiban_ssl_trust(cf->pool, &conf->client.ssl, &grant.trust)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    conf->source = ngx_zertiban_source(cf, credentials, &grant, &conf->client,
                                       conf->refresh_before);
    if (conf->source == NULL) {
        return NGX_CONF_ERROR;
    }

    identity.grant = &conf->source->grant;

    /* memcmp() is not to be given NULL */

    ngx_str_set(&identity.secret, "");

    if (conf->pairs) {
        identity.kind = NGX_ZERTIBAN_BY_FILE;
        identity.id = conf->pairs->file;

    } else if (ngx_zertiban_value_literal(conf->client_id)
               && ngx_zertiban_value_literal(conf->client_secret))
    {
        identity.kind = NGX_ZERTIBAN_BY_CLIENT;
        identity.id = conf->client_id->complex.value;

    } else {
        return NGX_CONF_OK;
    }

    conf->credential = ngx_zertiban_credential_find(credentials, &identity);

    if (conf->credential == NULL) {
        conf->credential = ngx_zertiban_named_create(cf, credentials, conf,
                                                     &identity);
    }

    if (conf->credential == NULL) {
        return NGX_CONF_ERROR;
    }

    return conf->pairs ? NGX_CONF_OK
                       : ngx_zertiban_named_add(cf, credentials, conf);
}


/* locations that ask elsewhere, or for another scope, have their own pairs */

static ngx_zertiban_credential_t *
ngx_zertiban_named_create(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_identity_t *identity)
{
    ngx_queue_t                *q;
    ngx_zertiban_pairs_t       *pairs;
    ngx_zertiban_credential_t  *twin, *credential;

    pairs = conf->pairs;

    if (pairs == NULL) {
        pairs = ngx_zertiban_pairs_create(cf->pool, NULL);

        q = ngx_queue_sentinel(&credentials->sources);
        twin = ngx_zertiban_named_twin(credentials, identity, &q);

        if (pairs && twin) {
            pairs->list = twin->pairs->list;
        }

    } else if (pairs->owned) {
        pairs = ngx_zertiban_pairs_copy(cf->pool, pairs);
    }

    if (pairs == NULL) {
        return NULL;
    }

    pairs->owned = 1;
    pairs->changed = 0;

    credential = ngx_zertiban_credential_create(credentials, cf->pool, pairs,
                                                identity);

    if (credential && ngx_zertiban_named_seen(credentials, credential)
        && ngx_zertiban_identity_key(identity, 1, credential->key) != NGX_OK)
    {
        return NULL;
    }

    return credential;
}


/* people would take it for another one, which trusts other certificates */

static ngx_uint_t
ngx_zertiban_named_seen(ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_credential_t *credential)
{
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *other;

    for (q = ngx_queue_head(&credentials->pinned);
         q != &credential->queue;
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (ngx_memcmp(NGX_ZERTIBAN_FINGERPRINT(other->key),
                       NGX_ZERTIBAN_FINGERPRINT(credential->key),
                       NGX_ZERTIBAN_FINGERPRINT_LEN)
            == 0
            && ngx_memcmp(other->key, credential->key, NGX_ZERTIBAN_KEY_LEN)
               != 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Those that differ in a time, or the resolver, only are one in the zone: it is
 * for each worker that they are two, and so the secrets are those of both.
 * "*q" is the source of the last one found, or the sentinel.
 */

static ngx_zertiban_credential_t *
ngx_zertiban_named_twin(ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_identity_t *identity, ngx_queue_t **q)
{
    ngx_zertiban_source_t      *source;
    ngx_zertiban_identity_t     other;
    ngx_zertiban_credential_t  *twin;

    other = *identity;

    for (*q = ngx_queue_next(*q);
         *q != ngx_queue_sentinel(&credentials->sources);
         *q = ngx_queue_next(*q))
    {
        source = ngx_queue_data(*q, ngx_zertiban_source_t, queue);

        if (!ngx_zertiban_grant_equal(&source->grant, identity->grant)) {
            continue;
        }

        other.grant = &source->grant;

        twin = ngx_zertiban_credential_find(credentials, &other);

        if (twin) {
            return twin;
        }
    }

    return NULL;
}


static char *
ngx_zertiban_named_add(ngx_conf_t *cf, ngx_zertiban_credentials_t *credentials,
    ngx_zertiban_loc_conf_t *conf)
{
    ngx_int_t                   rc;
    ngx_queue_t                *q;
    ngx_zertiban_credential_t  *twin;

    rc = NGX_OK;
    q = ngx_queue_sentinel(&credentials->sources);

    do {
        twin = ngx_zertiban_named_twin(credentials,
                                       &conf->credential->identity, &q);
        if (twin == NULL) {
            break;
        }

        rc = ngx_zertiban_pairs_add(twin->pairs,
                                    &conf->client_id->complex.value,
                                    &conf->client_secret->complex.value,
                                    conf->client_secret->written);

    } while (rc == NGX_OK);

    return ngx_zertiban_named_added(cf, conf, rc);
}


static char *
ngx_zertiban_named_added(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf,
    ngx_int_t rc)
{
    ngx_zertiban_value_t  *secret;

    secret = conf->client_secret;

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return NGX_CONF_OK;

    case NGX_ABORT:
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" is one more than 8 secrets of client \"%V\": "
                      "keep those that are valid, in %V:%ui",
                      &secret->directive, &conf->credential->identity.id,
                      &secret->place.file, secret->place.line);
        return NGX_CONF_ERROR;

    default: /* NGX_ERROR */
        return NGX_CONF_ERROR;
    }

    if (conf->credential->pairs->list.tags.n > 1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"%V\" is another secret of client \"%V\": it is used "
                      "where the one before it is refused, in %V:%ui",
                      &secret->directive, &conf->credential->identity.id,
                      &secret->place.file, secret->place.line);
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_zertiban_named_list(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    size_t                      size;
    ngx_uint_t                  n;
    ngx_queue_t                *q;
    ngx_zertiban_named_t       *named;
    ngx_zertiban_credential_t  *credential, **place;

    named = &zmcf->named;
    n = 0;

    for (q = ngx_queue_head(&zmcf->credentials->pinned);
         q != ngx_queue_sentinel(&zmcf->credentials->pinned);
         q = ngx_queue_next(q))
    {
        n++;
    }

    size = (n + 1) * sizeof(ngx_zertiban_credential_t *);

    named->elts = ngx_palloc(cf->pool, size);
    named->by_key = ngx_palloc(cf->pool, size);

    if (named->elts == NULL || named->by_key == NULL) {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&zmcf->credentials->pinned);
         q != ngx_queue_sentinel(&zmcf->credentials->pinned);
         q = ngx_queue_next(q))
    {
        credential = ngx_queue_data(q, ngx_zertiban_credential_t, queue);

        if (ngx_zertiban_named_find(named, credential->key)) {
            continue;
        }

        n = ngx_zertiban_named_place(named, credential->key);
        place = &named->by_key[n];

        ngx_memmove(place + 1, place,
                    (named->n - n) * sizeof(ngx_zertiban_credential_t *));

        *place = credential;
        named->elts[named->n++] = credential;
    }

    return NGX_OK;
}


ngx_zertiban_credential_t *
ngx_zertiban_named_find(ngx_zertiban_named_t *named, u_char *key)
{
    ngx_uint_t  n;

    n = ngx_zertiban_named_place(named, key);

    if (n < named->n
        && ngx_memcmp(named->by_key[n]->key, key, NGX_ZERTIBAN_KEY_LEN) == 0)
    {
        return named->by_key[n];
    }

    return NULL;
}


/* of the first one whose key is not less */

static ngx_uint_t
ngx_zertiban_named_place(ngx_zertiban_named_t *named, u_char *key)
{
    ngx_uint_t  left, right, middle;

    left = 0;
    right = named->n;

    while (left < right) {

        middle = (left + right) / 2;

        if (ngx_memcmp(named->by_key[middle]->key, key, NGX_ZERTIBAN_KEY_LEN)
            < 0)
        {
            left = middle + 1;

        } else {
            right = middle;
        }
    }

    return left;
}
