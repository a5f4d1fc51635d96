
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The token endpoint of other gateways: a location that gives its own token to
 * clients whose certificate its server has verified.
 */


#include "ngx_zertiban_share.h"
#include "ngx_zertiban_access.h"
#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_form.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_keeper.h"
#include "ngx_zertiban_survey.h"


static ngx_int_t ngx_zertiban_share_handler(ngx_http_request_t *r);
static void ngx_zertiban_share_body(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_share_form(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_share_refuse(ngx_http_request_t *r, char *error);
static ngx_int_t ngx_zertiban_share_answer(ngx_http_request_t *r,
    ngx_zertiban_ctx_t *ctx);
static ngx_uint_t ngx_zertiban_share_replace(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential, ngx_str_t *token);
static ngx_uint_t ngx_zertiban_share_told(ngx_http_request_t *r, char *name,
    ngx_str_t *token);
static ngx_int_t ngx_zertiban_share_token(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential, ngx_str_t *token,
    ngx_uint_t seconds);
static ngx_int_t ngx_zertiban_share_seconds(ngx_http_request_t *r, char *name,
    ngx_msec_int_t msec);
static void ngx_zertiban_share_wipe(void *data);
static void ngx_zertiban_share_wipe_sent(void *data);


char *
ngx_zertiban_share(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    ngx_http_conf_ctx_t       *ctx;
    ngx_zertiban_share_t      *share;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_zertiban_main_conf_t  *zmcf;

    if (zlcf->share) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "has to be in a location of its own";
    }

    share = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_share_t));
    if (share == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx = cf->ctx;
    share->srv_conf = ctx->srv_conf;
    ngx_zertiban_place_set(&share->place, cf);

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    share->next = zmcf->shares;
    zmcf->shares = share;

    zlcf->share = share;

    clcf->handler = ngx_zertiban_share_handler;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_zertiban_share_merge(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->share == NULL) {

        /* "if" keeps the content handler, "limit_except" has none */

        if (clcf->noname && clcf->handler == NULL) {
            conf->share = prev->share;

            if (conf->share && clcf->lmt_excpt) {
                clcf->handler = ngx_zertiban_share_handler;
            }
        }

    } else if (clcf->handler != ngx_zertiban_share_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"zertiban_share\" has to be in a location of its "
                      "own, without \"proxy_pass\" and the like, in %V:%ui",
                      &conf->share->place.file, conf->share->place.line);
        return NGX_ERROR;
    }

    if (conf->share) {
        conf->place = conf->share->place;
    }

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_share_check(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_zertiban_share_t  *share;

    for (share = zmcf->shares; share; share = share->next) {

        share->server = ngx_zertiban_access_certificate(cf->cycle->modules,
                                                        share->srv_conf);

        if (share->server == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"zertiban_share\" gives the token to clients, but "
                          "its server does not demand their certificates: set "
                          "\"ssl_verify_client on\" and "
                          "\"ssl_client_certificate\" there, in %V:%ui",
                          &share->place.file, share->place.line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_share_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_zertiban_loc_conf_t  *zlcf;

    static ngx_str_t  methods = ngx_string("POST");

    if (r != r->main || r->post_action) {

        /* nobody has looked whether it may */

        return NGX_HTTP_FORBIDDEN;
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_zertiban_answer_method(r, &methods);
    }

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (!ngx_zertiban_verified(r, zlcf->share->server)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no token for a client without a certificate that the "
                      "server of \"zertiban_share\" has verified in this "
                      "connection's handshake");
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->headers_in.content_length_n > NGX_ZERTIBAN_FORM_MAX) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    rc = ngx_http_read_client_request_body(r, ngx_zertiban_share_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_zertiban_share_body(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_zertiban_share_form(r));
}


/* the token request of RFC 6749, section 4.4.2 */

static ngx_int_t
ngx_zertiban_share_form(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 body, grant, scope, *own;
    ngx_zertiban_loc_conf_t  *zlcf;

    static ngx_str_t  grant_name = ngx_string("grant_type");
    static ngx_str_t  scope_name = ngx_string("scope");
    static ngx_str_t  credentials = ngx_string("client_credentials");

    rc = ngx_zertiban_form_body(r, &body);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    ngx_str_null(&grant);

    rc = ngx_zertiban_form_field(r->pool, &body, &grant_name, &grant);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_zertiban_share_refuse(r, "invalid_request");
    }

    if (grant.len != credentials.len
        || ngx_strncmp(grant.data, credentials.data, grant.len) != 0)
    {
        return ngx_zertiban_share_refuse(r, "unsupported_grant_type");
    }

    rc = ngx_zertiban_form_field(r->pool, &body, &scope_name, &scope);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);
    own = &zlcf->source->grant.scope;

    if (rc == NGX_OK
        && (scope.len != own->len
            || ngx_strncmp(scope.data, own->data, scope.len) != 0))
    {
        return ngx_zertiban_share_refuse(r, "invalid_scope");
    }

    return ngx_zertiban_gate_answer(r, ngx_zertiban_share_answer);
}


/* RFC 6749, section 5.2 */

static ngx_int_t
ngx_zertiban_share_refuse(ngx_http_request_t *r, char *error)
{
    ngx_zertiban_out_t  out;

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    ngx_zertiban_out(&out, "{\"error\":\"%s\"}\n", error);

    r->headers_out.status = NGX_HTTP_BAD_REQUEST;

    return ngx_zertiban_answer(r, NGX_ZERTIBAN_STATUS_JSON, &out);
}


/* of the gate: there is a token */

static ngx_int_t
ngx_zertiban_share_answer(ngx_http_request_t *r, ngx_zertiban_ctx_t *ctx)
{
    ngx_str_t                   token;
    ngx_msec_int_t              left;
    ngx_zertiban_credential_t  *credential;

    credential = ctx->credential;

    token = credential->copy->value;
    token.data += NGX_ZERTIBAN_SCHEME_LEN;
    token.len -= NGX_ZERTIBAN_SCHEME_LEN;

    if (!ctx->replayed
        && ngx_zertiban_share_replace(r, credential, &token))
    {
        ctx->replayed = 1;
        return ctx->look(r, ctx);
    }

    left = (ngx_msec_int_t) (credential->copy->usable - ngx_current_msec);

    if (left < 1000) {

        /* there is no other one */

        return (ngx_zertiban_gate_retry_after(r, 1000) == NGX_OK)
               ? NGX_HTTP_SERVICE_UNAVAILABLE
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_zertiban_share_token(r, credential, &token, left / 1000);
}


/* whether another look is due, since the API does not want the token */

static ngx_uint_t
ngx_zertiban_share_replace(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential, ngx_str_t *token)
{
    ngx_atomic_uint_t  generation;

    generation = credential->copy->generation;

    if (ngx_zertiban_share_told(r, NGX_ZERTIBAN_TOKEN_REFUSED, token)) {
        return ngx_zertiban_keeper_drop(credential, generation) == NGX_OK;
    }

    if (ngx_zertiban_share_told(r, NGX_ZERTIBAN_TOKEN_DOUBTED, token)) {
        ngx_zertiban_keeper_doubt(credential, generation);
        return 1;
    }

    return 0;
}


/* whether the header has the mark of the token */

static ngx_uint_t
ngx_zertiban_share_told(ngx_http_request_t *r, char *name, ngx_str_t *token)
{
    ngx_int_t   mark;
    ngx_str_t  *value;

    value = ngx_zertiban_form_header(r, name);

    if (value == NULL) {
        return 0;
    }

    mark = ngx_hextoi(value->data, value->len);

    return mark > 0
           && (ngx_zertiban_mark_t) mark == ngx_zertiban_identity_mark(token);
}


/* RFC 6749, section 5.1, and what the other gateway has to know of the token */

static ngx_int_t
ngx_zertiban_share_token(ngx_http_request_t *r,
    ngx_zertiban_credential_t *credential, ngx_str_t *token,
    ngx_uint_t seconds)
{
    ngx_chain_t            *cl;
    ngx_msec_int_t          age, next;
    ngx_zertiban_out_t      out;
    ngx_pool_cleanup_t     *cln;
    ngx_zertiban_survey_t   survey;

    (void) ngx_zertiban_survey(ngx_zertiban_credential_zone(credential),
                               credential->key, &survey);

    /* one that the zone could not keep is as good as new */

    age = 0;
    next = 0;

    if (survey.token) {
        age = (ngx_msec_int_t) (ngx_current_msec - survey.obtained);
    }

    if (survey.planned) {
        next = (ngx_msec_int_t) (survey.next - ngx_current_msec);
    }

    if (ngx_zertiban_share_seconds(r, NGX_ZERTIBAN_TOKEN_AGE, age) != NGX_OK
        || ngx_zertiban_share_seconds(r, NGX_ZERTIBAN_TOKEN_NEXT,
                                      ngx_max(next, 0) + 999)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_zertiban_share_wipe_sent;
    cln->data = r->connection;

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    ngx_zertiban_out_text(&out, "{\"access_token\":");
    ngx_zertiban_out_json(&out, token);
    ngx_zertiban_out(&out, ",\"token_type\":\"Bearer\",\"expires_in\":%ui}\n",
                     seconds);

    for (cl = out.chain; cl; cl = cl->next) {

        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            out.failed = 1;
            ngx_zertiban_share_wipe(cl->buf);
            continue;
        }

        cln->handler = ngx_zertiban_share_wipe;
        cln->data = cl->buf;
    }

    r->headers_out.status = NGX_HTTP_OK;

    return ngx_zertiban_answer(r, NGX_ZERTIBAN_STATUS_JSON, &out);
}


static ngx_int_t
ngx_zertiban_share_seconds(ngx_http_request_t *r, char *name,
    ngx_msec_int_t msec)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", (time_t) (msec / 1000))
                - value.data;

    return ngx_zertiban_answer_header(r, name, &value);
}


static void
ngx_zertiban_share_wipe(void *data)
{
    ngx_buf_t *b = data;

    ngx_explicit_memzero(b->start, b->end - b->start);
}


/* small writes are collected there; what is not sent yet is needed */

static void
ngx_zertiban_share_wipe_sent(void *data)
{
    ngx_connection_t *c = data;

    ngx_buf_t  *b;

    b = c->ssl->buf;

    if (b && b->start && b->pos == b->last) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
}
