
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The body of a token response.
 */


#include "ngx_zertiban_token.h"

#include <cjson/cJSON.h>


static ngx_uint_t ngx_zertiban_token_refused(ngx_zertiban_verdict_t *verdict,
    cJSON *json);
static cJSON *ngx_zertiban_token_member(cJSON *json, const char *name);
static ngx_uint_t ngx_zertiban_token_error(cJSON *json);
static void ngx_zertiban_token_success(cJSON *json, u_char *body,
    ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_token_failure(ngx_zertiban_verdict_t *verdict);
static void ngx_zertiban_token_text(cJSON *json, const char *name,
    ngx_str_t *secrets, ngx_uint_t n, ngx_str_t *text);
static ngx_uint_t ngx_zertiban_token_repeats(cJSON *json, ngx_str_t *text,
    ngx_str_t *secrets, ngx_uint_t n);
static ngx_uint_t ngx_zertiban_token_contains(ngx_str_t *s, ngx_str_t *part);
static ngx_int_t ngx_zertiban_token_access_token(cJSON *json, u_char *body,
    ngx_zertiban_verdict_t *verdict);
static ngx_uint_t ngx_zertiban_token_visible(u_char *p, size_t len);
static ngx_int_t ngx_zertiban_token_type(cJSON *json,
    ngx_zertiban_verdict_t *verdict);
static ngx_int_t ngx_zertiban_token_lifetime(cJSON *json,
    ngx_zertiban_verdict_t *verdict);
static time_t ngx_zertiban_token_numeric(u_char *p);


void
ngx_zertiban_token_parse(ngx_uint_t status, u_char *body, size_t len,
    ngx_str_t *secrets, ngx_uint_t n, ngx_zertiban_verdict_t *verdict)
{
    cJSON  *json, *token;

    verdict->status = status;

    body[len] = '\0';

    /* malloc() says what cJSON does not */

    ngx_set_errno(0);

    json = cJSON_ParseWithLengthOpts((char *) body, len + 1, NULL, 1);

    if (json == NULL && ngx_errno == NGX_ENOMEM) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_BUSY,
                                 "not enough memory for the answer");
        return;
    }

    verdict->code.data = verdict->code_data;
    verdict->description.data = verdict->description_data;

    ngx_zertiban_token_text(json, "error", secrets, n, &verdict->code);
    ngx_zertiban_token_text(json, "error_description", secrets, n,
                            &verdict->description);

    if (!ngx_zertiban_token_status(status)) {
        ngx_zertiban_token_failure(verdict);

    } else if (!cJSON_IsObject(json)) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the answer is not a JSON object");

    } else if (ngx_zertiban_token_error(json)) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_REJECTED_CLIENT,
                           "the answer is an error in spite of its status");

    } else if (ngx_strlchr(body, body + len, '\0')
               || ngx_strnstr(body, "\\u0000", len))
    {
        /* cJSON would end the string, or the answer, there */

        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the answer has a null character");

    } else {
        ngx_zertiban_token_success(json, body, verdict);
    }

    verdict->refused = ngx_zertiban_token_refused(verdict, json);

    token = cJSON_GetObjectItemCaseSensitive(json, "access_token");

    if (cJSON_IsString(token)) {
        ngx_explicit_memzero(token->valuestring,
                             ngx_strlen(token->valuestring));
    }

    cJSON_Delete(json);
}


/* RFC 6749, section 5.2: a request may be refused for another reason */

static ngx_uint_t
ngx_zertiban_token_refused(ngx_zertiban_verdict_t *verdict, cJSON *json)
{
    char  *error;

    if (verdict->error != NGX_ZERTIBAN_IDP_REJECTED_CLIENT) {
        return 0;
    }

    if (verdict->status == 401 || verdict->status == 403) {
        return 1;
    }

    error = cJSON_GetStringValue(ngx_zertiban_token_member(json, "error"));

    return error && ngx_strcmp(error, "invalid_client") == 0;
}


/* a null stands for nothing */

static cJSON *
ngx_zertiban_token_member(cJSON *json, const char *name)
{
    cJSON  *member;

    member = cJSON_GetObjectItemCaseSensitive(json, name);

    return cJSON_IsNull(member) ? NULL : member;
}


/* "" and false say that there is none */

static ngx_uint_t
ngx_zertiban_token_error(cJSON *json)
{
    char   *text;
    cJSON  *error;

    error = ngx_zertiban_token_member(json, "error");

    if (error == NULL || cJSON_IsFalse(error)) {
        return 0;
    }

    text = cJSON_GetStringValue(error);

    return text == NULL || *text != '\0';
}


static void
ngx_zertiban_token_success(cJSON *json, u_char *body,
    ngx_zertiban_verdict_t *verdict)
{
    if (ngx_zertiban_token_type(json, verdict) != NGX_OK
        || ngx_zertiban_token_lifetime(json, verdict) != NGX_OK
        || ngx_zertiban_token_access_token(json, body, verdict) != NGX_OK)
    {
        verdict->error = NGX_ZERTIBAN_IDP_BAD_RESPONSE;
        return;
    }

    ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_OK, "ok");
}


static void
ngx_zertiban_token_failure(ngx_zertiban_verdict_t *verdict)
{
    ngx_uint_t  status;

    status = verdict->status;

    if (status == 429) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_RATE_LIMITED,
                                 "the token endpoint asks to slow down");

    } else if (status >= 500 && status <= 599) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_UNREACHABLE,
                                 "the token endpoint is out of order");

    } else if (status == 404) {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the answer has an unexpected status, "
                                 "the URL of the token endpoint may be wrong");

    } else if (status >= 400 && status <= 499
               && (status <= 401 || verdict->code.len))
    {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_REJECTED_CLIENT,
                                 "the token endpoint refused the client");

    } else if (status >= 400 && status <= 499) {

        /* without the JSON of RFC 6749, section 5.2, who knows what it is */

        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_REJECTED_CLIENT,
                                 "the token endpoint refused the request, "
                                 "its URL may be wrong");

    } else {
        ngx_zertiban_verdict_set(verdict, NGX_ZERTIBAN_IDP_BAD_RESPONSE,
                                 "the answer has an unexpected status");
    }
}


static void
ngx_zertiban_token_text(cJSON *json, const char *name, ngx_str_t *secrets,
    ngx_uint_t n, ngx_str_t *text)
{
    cJSON      *member;
    u_char      ch, *p;
    ngx_str_t   value;

    text->len = 0;

    member = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!cJSON_IsString(member)) {
        return;
    }

    value.data = (u_char *) member->valuestring;
    value.len = ngx_strlen(value.data);

    if (ngx_zertiban_token_repeats(json, &value, secrets, n)) {
        ngx_str_set(text, "not shown, it repeats a secret");
        return;
    }

    for (p = value.data; *p; p++) {

        if (text->len == NGX_ZERTIBAN_REASON_MAX) {
            break;
        }

        ch = *p;

        if (ch < 0x20 || ch >= 0x7f || ch == '"' || ch == '\\') {
            ch = '?';
        }

        text->data[text->len++] = ch;
    }
}


static ngx_uint_t
ngx_zertiban_token_repeats(cJSON *json, ngx_str_t *text, ngx_str_t *secrets,
    ngx_uint_t n)
{
    cJSON      *token;
    ngx_str_t   value;

    if (ngx_zertiban_token_secret(text, secrets, n)) {
        return 1;
    }

    token = cJSON_GetObjectItemCaseSensitive(json, "access_token");

    if (!cJSON_IsString(token)) {
        return 0;
    }

    value.data = (u_char *) token->valuestring;
    value.len = ngx_strlen(value.data);

    return value.len && ngx_zertiban_token_contains(text, &value);
}


ngx_uint_t
ngx_zertiban_token_secret(ngx_str_t *text, ngx_str_t *secrets, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ngx_zertiban_token_contains(text, &secrets[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_zertiban_token_contains(ngx_str_t *s, ngx_str_t *part)
{
    return s->len >= part->len
           && ngx_strlcasestrn(s->data, s->data + s->len, part->data,
                               part->len - 1);
}


static ngx_int_t
ngx_zertiban_token_access_token(cJSON *json, u_char *body,
    ngx_zertiban_verdict_t *verdict)
{
    cJSON   *token;
    size_t   len;
    u_char  *p;

    token = cJSON_GetObjectItemCaseSensitive(json, "access_token");

    if (!cJSON_IsString(token)) {
        ngx_str_set(&verdict->reason, "the answer has no access_token");
        return NGX_ERROR;
    }

    p = (u_char *) token->valuestring;
    len = ngx_strlen(p);

    if (len == 0 || len > NGX_ZERTIBAN_TOKEN_MAX) {
        ngx_str_set(&verdict->reason, "access_token is empty or too long");
        return NGX_ERROR;
    }

    if (!ngx_zertiban_token_visible(p, len)) {
        ngx_str_set(&verdict->reason, "access_token has an invalid character");
        return NGX_ERROR;
    }

    /* a decoded string is never longer than its JSON */

    ngx_memcpy(body, p, len);

    verdict->token.len = len;
    verdict->token.data = body;

    return NGX_OK;
}


/* what a header can carry as one word: b64token of RFC 6750, 2.1, and more */

static ngx_uint_t
ngx_zertiban_token_visible(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_zertiban_token_type(cJSON *json, ngx_zertiban_verdict_t *verdict)
{
    cJSON  *type;

    type = ngx_zertiban_token_member(json, "token_type");

    if (type == NULL) {
        return NGX_OK;
    }

    if (!cJSON_IsString(type)
        || ngx_strcasecmp((u_char *) type->valuestring, (u_char *) "bearer")
           != 0)
    {
        ngx_str_set(&verdict->reason, "token_type is not \"Bearer\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_token_lifetime(cJSON *json, ngx_zertiban_verdict_t *verdict)
{
    cJSON  *expires;

    expires = ngx_zertiban_token_member(json, "expires_in");

    if (expires == NULL) {
        verdict->lifetime = NGX_ZERTIBAN_LIFETIME_DEFAULT;
        return NGX_OK;
    }

    if (cJSON_IsNumber(expires)) {

        if (expires->valuedouble >= NGX_ZERTIBAN_LIFETIME_MAX) {
            verdict->lifetime = NGX_ZERTIBAN_LIFETIME_MAX;

        } else if (expires->valuedouble >= 1) {
            verdict->lifetime = (time_t) expires->valuedouble;

        } else {
            verdict->lifetime = 0;
        }

    } else if (cJSON_IsString(expires)) {
        verdict->lifetime = ngx_zertiban_token_numeric(
                                             (u_char *) expires->valuestring);

    } else {
        verdict->lifetime = 0;
    }

    if (verdict->lifetime <= 0) {
        ngx_str_set(&verdict->reason, "expires_in is not a positive number");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* digits with an optional fraction, which is dropped */

static time_t
ngx_zertiban_token_numeric(u_char *p)
{
    u_char  *last, *end;
    time_t   n;

    end = p + ngx_strlen(p);

    for (last = p; *last >= '0' && *last <= '9'; last++) { /* void */ }

    n = last - p;

    if (n == 0) {
        return 0;
    }

    n = ngx_atotm(p, last - p);

    if (n == NGX_ERROR || n > NGX_ZERTIBAN_LIFETIME_MAX) {

        /* too many digits */

        n = NGX_ZERTIBAN_LIFETIME_MAX;
    }

    if (*last == '.') {
        for (last++; *last >= '0' && *last <= '9'; last++) { /* void */ }
    }

    return last == end ? n : 0;
}
