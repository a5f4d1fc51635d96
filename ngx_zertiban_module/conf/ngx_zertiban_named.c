
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The credentials that the configuration names: equal ones of several locations
 * are one.
 */


#include "ngx_zertiban_named.h"
#include "ngx_zertiban_secret.h"


#define NGX_ZERTIBAN_NAMED_DAYS  14     /* that a pair should last, at least */


static ngx_int_t ngx_zertiban_named_read(ngx_conf_t *cf,
    ngx_zertiban_pairs_t *pairs);
static void ngx_zertiban_named_warn(ngx_conf_t *cf,
    ngx_zertiban_pairs_t *pairs);
static ngx_zertiban_credential_t *ngx_zertiban_named_create(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_identity_t *identity);
static char *ngx_zertiban_named_add(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf);


char *
ngx_zertiban_named_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char       *other;
    ngx_str_t  *value, name;

    value = cf->args->elts;

    if (zlcf->pairs != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (zlcf->client_id != NGX_CONF_UNSET_PTR) {
        other = "zertiban_client_id";

    } else if (zlcf->secret_file) {
        other = "zertiban_client_secret_file";

    } else if (zlcf->client_secret != NGX_CONF_UNSET_PTR) {
        other = "zertiban_client_secret";

    } else {
        other = NULL;
    }

    if (other) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" and \"%s\" are both set: keep one of "
                           "them", &value[0], other);
        return NGX_CONF_ERROR;
    }

    name = value[1];

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    zlcf->pairs = ngx_zertiban_pairs_create(cf->pool, &name);

    if (zlcf->pairs == NULL
        || ngx_zertiban_named_read(cf, zlcf->pairs) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_zertiban_named_warn(cf, zlcf->pairs);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_zertiban_named_read(ngx_conf_t *cf, ngx_zertiban_pairs_t *pairs)
{
    ngx_int_t  rc;
    ngx_err_t  no;
    ngx_str_t  err;
    u_char     data[NGX_ZERTIBAN_PAIRS_ERROR];

    err.data = data;

    rc = ngx_zertiban_pairs_read(pairs, &err);

    no = (rc == NGX_DECLINED) ? ngx_errno : 0;

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (no == NGX_ENOENT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"zertiban_credentials_file\" names \"%V\", which "
                           "is not there: create it with \"install -m 0600 "
                           "/dev/null %V\", and write a line \"client_id "
                           "client_secret\" into it", &pairs->file,
                           &pairs->file);

    } else if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, no,
                           "\"zertiban_credentials_file\" names \"%V\", which "
                           "%V: make it a file that the user who starts nginx "
                           "can read", &pairs->file, &err);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"zertiban_credentials_file\" names \"%V\", which "
                           "%V: write lines \"client_id client_secret "
                           "[YYYY-MM-DD]\", the newest first", &pairs->file,
                           &err);
    }

    return NGX_ERROR;
}


static void
ngx_zertiban_named_warn(ngx_conf_t *cf, ngx_zertiban_pairs_t *pairs)
{
    char                 *odd;
    ngx_int_t             days;
    ngx_uint_t            i;
    ngx_zertiban_pair_t  *pair;

    if (pairs->id.others) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"zertiban_credentials_file\" names \"%V\", which "
                           "others can read, make it unreadable for them: "
                           "\"chmod o-r\"", &pairs->file);
    }

    for (i = 0; i < pairs->list.tags.n; i++) {
        pair = &pairs->list.elts[i];

        odd = ngx_zertiban_secret_odd(&pair->secret, &pair->id);

        if (odd) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"zertiban_credentials_file\" names \"%V\", "
                               "where the secret of client \"%V\" %s",
                               &pairs->file, &pair->id, odd);
        }

        if (pair->expires == 0) {
            continue;
        }

        days = ngx_zertiban_pair_days(pair);

        if (days < 0) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"zertiban_credentials_file\" names \"%V\", "
                               "where the date of client \"%V\" is past: put "
                               "a new pair before it", &pairs->file,
                               &pair->id);

        } else if (days < NGX_ZERTIBAN_NAMED_DAYS) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"zertiban_credentials_file\" names \"%V\", "
                               "where the date of client \"%V\" is in %i "
                               "days: put a new pair before it", &pairs->file,
                               &pair->id, days);
        }
    }
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

    ngx_str_null(&identity.secret);

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

    return conf->pairs ? NGX_CONF_OK : ngx_zertiban_named_add(cf, conf);
}


/* locations that ask for another scope, or elsewhere, read the file as well */

static ngx_zertiban_credential_t *
ngx_zertiban_named_create(ngx_conf_t *cf,
    ngx_zertiban_credentials_t *credentials, ngx_zertiban_loc_conf_t *conf,
    ngx_zertiban_identity_t *identity)
{
    ngx_zertiban_pairs_t  *pairs;

    pairs = conf->pairs;

    if (pairs == NULL || pairs->owned) {

        pairs = ngx_zertiban_pairs_create(cf->pool,
                                          pairs ? &pairs->file : NULL);
        if (pairs == NULL) {
            return NULL;
        }

        if (conf->pairs && ngx_zertiban_named_read(cf, pairs) != NGX_OK) {
            return NULL;
        }
    }

    pairs->owned = 1;
    pairs->changed = 0;

    return ngx_zertiban_credential_create(credentials, cf->pool, pairs,
                                          identity);
}


static char *
ngx_zertiban_named_add(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    ngx_zertiban_pairs_t      *pairs;
    ngx_http_core_loc_conf_t  *clcf;

    pairs = conf->credential->pairs;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    switch (ngx_zertiban_pairs_add(pairs, &conf->client_id->complex.value,
                                   &conf->client_secret->complex.value))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return NGX_CONF_OK;

    case NGX_ABORT:
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "client \"%V\" has more than 8 secrets, one more in the "
                      "location \"%V\": keep those that are valid, in %V:%ui",
                      &conf->credential->identity.id, &clcf->name,
                      &conf->place.file, conf->place.line);
        return NGX_CONF_ERROR;

    default: /* NGX_ERROR */
        return NGX_CONF_ERROR;
    }

    if (pairs->list.tags.n > 1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "client \"%V\" has another secret in the location "
                      "\"%V\": it is used where that of the others is "
                      "refused, in %V:%ui",
                      &conf->credential->identity.id, &clcf->name,
                      &conf->place.file, conf->place.line);
    }

    return NGX_CONF_OK;
}
