
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The body of an answer.  The first line has its status and the secrets that
 * must not be shown; a word "*100" there makes 100 characters of each "@" in
 * the body, which is the rest.
 */


#include "fuzz.h"
#include "fuzz_json.h"

#include <cjson/cJSON.h>
#include <malloc.h>

#include "ngx_zertiban_token.h"


#define FUZZ_SECRETS  4
#define FUZZ_YEAR     31536000         /* s, the longest life of a token */


typedef struct {
    ngx_uint_t              status;
    ngx_str_t               secrets[FUZZ_SECRETS];
    ngx_uint_t              n;

    ngx_str_t               body;
    ngx_str_t               token;        /* room for a copy of it */
    fuzz_json_t             json;
    ngx_zertiban_verdict_t  verdict;
} fuzz_answer_t;


static void fuzz_parse(fuzz_answer_t *answer);
static ngx_str_t fuzz_expand(ngx_pool_t *pool, ngx_str_t *s, ngx_uint_t times);
static void fuzz_bounds(fuzz_answer_t *answer);
static void fuzz_bounds_text(fuzz_answer_t *answer, ngx_str_t *text,
    u_char *data);
static void fuzz_verdict(fuzz_answer_t *answer);
static ngx_uint_t fuzz_refused(fuzz_answer_t *answer);
static ngx_zertiban_error_e fuzz_error(fuzz_answer_t *answer);
static ngx_uint_t fuzz_is_error(fuzz_json_value_t *value);
static ngx_uint_t fuzz_token(ngx_str_t *token);
static time_t fuzz_lifetime(fuzz_json_value_t *value);
static time_t fuzz_numeric(ngx_str_t *s);
static void fuzz_text(fuzz_answer_t *answer, fuzz_json_value_t *value,
    ngx_str_t *text, u_char *data);
static ngx_uint_t fuzz_find(ngx_str_t *s, ngx_str_t *part);
static ngx_uint_t fuzz_once(ngx_str_t *body, ngx_str_t *token);
static void fuzz_free(void *p);


/* a token that must not be left in memory that is freed */

static ngx_str_t  fuzz_wiped;


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    uint32_t       seed;
    ngx_str_t      line, word;
    ngx_uint_t     times;
    fuzz_answer_t  answer, starved;

    static cJSON_Hooks  hooks = { fuzz_alloc, fuzz_free };

    cJSON_InitHooks(&hooks);

    ngx_memzero(&answer, sizeof(fuzz_answer_t));

    line = fuzz_line(input);

    word = fuzz_word(&line);
    answer.status = ngx_atoi(word.data, ngx_min(word.len, 3));

    if (answer.status > 999) {
        answer.status = 200;
    }

    times = 1;

    while (answer.n < FUZZ_SECRETS) {
        word = fuzz_word(&line);

        if (word.len == 0) {
            break;
        }

        if (word.data[0] == '*') {
            times = ngx_atoi(word.data + 1, word.len - 1);
            continue;
        }

        if (memchr(word.data, '\0', word.len)) {
            continue;
        }

        answer.secrets[answer.n++] = fuzz_copy(pool, &word);
    }

    answer.body = fuzz_expand(pool, input, times);

    answer.token.data = ngx_pnalloc(pool, answer.body.len);
    fuzz_check(answer.token.data != NULL);

    starved = answer;

    if (fuzz_json_read(pool, &answer.body, &answer.json) == NGX_OK) {

        if ((answer.status == 200 || answer.status == 201)
            && answer.json.access_token.type == FUZZ_JSON_STRING
            && answer.json.access_token.string.len >= 8
            && fuzz_once(&answer.body, &answer.json.access_token.string))
        {
            fuzz_wiped = answer.json.access_token.string;
        }

        fuzz_parse(&answer);
        fuzz_wiped.len = 0;

        fuzz_verdict(&answer);

    } else {
        fuzz_parse(&answer);
    }

    fuzz_bounds(&answer);

    seed = fuzz_seed(input);
    fuzz_fail_after(fuzz_random(&seed, 20));

    fuzz_parse(&starved);

    if (fuzz_has_failed()) {
        fuzz_check(starved.verdict.error != NGX_ZERTIBAN_OK);

    } else {
        fuzz_check(starved.verdict.error == answer.verdict.error);
    }
}


static void
fuzz_parse(fuzz_answer_t *answer)
{
    u_char  *body;

    body = malloc(answer->body.len + 1);
    fuzz_check(body != NULL);

    ngx_memcpy(body, answer->body.data, answer->body.len);

    answer->verdict.retry_after = 42;

    ngx_zertiban_token_parse(answer->status, body, answer->body.len,
                             answer->secrets, answer->n, &answer->verdict);

    fuzz_check(answer->verdict.retry_after == 42);

    if (answer->verdict.error == NGX_ZERTIBAN_OK) {
        fuzz_check(answer->verdict.token.data >= body);
        fuzz_check(answer->verdict.token.data + answer->verdict.token.len
                   <= body + answer->body.len);

        answer->token.len = answer->verdict.token.len;
        ngx_memcpy(answer->token.data, answer->verdict.token.data,
                   answer->token.len);

        answer->verdict.token = answer->token;
    }

    free(body);
}


static ngx_str_t
fuzz_expand(ngx_pool_t *pool, ngx_str_t *s, ngx_uint_t times)
{
    u_char      *p;
    size_t       i;
    ngx_str_t    expanded;
    ngx_uint_t   n;

    n = 0;

    for (i = 0; i < s->len; i++) {
        n += (s->data[i] == '@');
    }

    if (times < 2 || n == 0 || times > 65535 / n) {
        return *s;
    }

    p = ngx_pnalloc(pool, s->len + n * times);
    fuzz_check(p != NULL);

    expanded.data = p;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] != '@') {
            *p++ = s->data[i];
            continue;
        }

        ngx_memset(p, 'x', times);
        p += times;
    }

    expanded.len = p - expanded.data;

    return expanded;
}


/* whatever the body is */

static void
fuzz_bounds(fuzz_answer_t *answer)
{
    ngx_zertiban_verdict_t  *verdict;

    verdict = &answer->verdict;

    fuzz_check(verdict->status == answer->status);
    fuzz_check(verdict->reason.len != 0);

    fuzz_bounds_text(answer, &verdict->code, verdict->code_data);
    fuzz_bounds_text(answer, &verdict->description,
                     verdict->description_data);

    if (verdict->error == NGX_ZERTIBAN_OK) {
        fuzz_check(answer->status == 200 || answer->status == 201);
        fuzz_check(fuzz_token(&verdict->token));
        fuzz_check(verdict->lifetime >= 1);
        fuzz_check(verdict->lifetime <= FUZZ_YEAR);
    }
}


static void
fuzz_bounds_text(fuzz_answer_t *answer, ngx_str_t *text, u_char *data)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  n;

    fuzz_check(text->len <= NGX_ZERTIBAN_REASON_MAX);

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];
        fuzz_check(ch >= 0x20 && ch < 0x7f && ch != '"' && ch != '\\');
    }

    for (n = 0; n < answer->n; n++) {

        /* a character that was replaced may complete it by chance */

        if (text->data == data
            && memchr(answer->secrets[n].data, '?', answer->secrets[n].len)
               == NULL)
        {
            fuzz_check(!fuzz_find(text, &answer->secrets[n]));
        }
    }
}


/* of a body that is JSON */

static void
fuzz_verdict(fuzz_answer_t *answer)
{
    ngx_zertiban_verdict_t  *verdict;

    verdict = &answer->verdict;

    fuzz_check(verdict->error == fuzz_error(answer));
    fuzz_check(!verdict->refused == !fuzz_refused(answer));

    if (verdict->error == NGX_ZERTIBAN_OK) {
        fuzz_check(fuzz_str_eq(&verdict->token,
                               &answer->json.access_token.string));
        fuzz_check(verdict->lifetime
                   == fuzz_lifetime(&answer->json.expires_in));
    }

    fuzz_text(answer, &answer->json.error, &verdict->code,
              verdict->code_data);
    fuzz_text(answer, &answer->json.error_description, &verdict->description,
              verdict->description_data);
}


static ngx_uint_t
fuzz_refused(fuzz_answer_t *answer)
{
    fuzz_json_value_t  *error;

    static ngx_str_t  invalid = ngx_string("invalid_client");

    if (answer->verdict.error != NGX_ZERTIBAN_IDP_REJECTED_CLIENT) {
        return 0;
    }

    error = &answer->json.error;

    return answer->status == 401 || answer->status == 403
           || (error->type == FUZZ_JSON_STRING
               && fuzz_str_eq(&error->string, &invalid));
}


static ngx_zertiban_error_e
fuzz_error(fuzz_answer_t *answer)
{
    ngx_uint_t    status;
    fuzz_json_t  *json;

    json = &answer->json;
    status = answer->status;

    switch (status / 100) {

    case 4:
        return status == 404 ? NGX_ZERTIBAN_IDP_BAD_RESPONSE
               : status == 429 ? NGX_ZERTIBAN_IDP_RATE_LIMITED
               : NGX_ZERTIBAN_IDP_REJECTED_CLIENT;

    case 5:
        return NGX_ZERTIBAN_IDP_UNREACHABLE;

    default:
        break;
    }

    if (status != 200 && status != 201) {
        return NGX_ZERTIBAN_IDP_BAD_RESPONSE;
    }

    if (fuzz_is_error(&json->error)) {
        return NGX_ZERTIBAN_IDP_REJECTED_CLIENT;
    }

    if (json->top.type != FUZZ_JSON_OBJECT
        || memmem(answer->body.data, answer->body.len, "\\u0000", 6)
        || json->access_token.type != FUZZ_JSON_STRING
        || !fuzz_token(&json->access_token.string)
        || fuzz_lifetime(&json->expires_in) == 0)
    {
        return NGX_ZERTIBAN_IDP_BAD_RESPONSE;
    }

    if (json->token_type.type != FUZZ_JSON_NONE
        && json->token_type.type != FUZZ_JSON_NULL
        && (json->token_type.type != FUZZ_JSON_STRING
            || json->token_type.string.len != 6
            || strncasecmp((char *) json->token_type.string.data, "Bearer", 6)
               != 0))
    {
        return NGX_ZERTIBAN_IDP_BAD_RESPONSE;
    }

    return NGX_ZERTIBAN_OK;
}


static ngx_uint_t
fuzz_is_error(fuzz_json_value_t *value)
{
    switch (value->type) {

    case FUZZ_JSON_NONE:
    case FUZZ_JSON_NULL:
    case FUZZ_JSON_FALSE:
        return 0;

    case FUZZ_JSON_STRING:
        return value->string.len != 0;

    default:
        return 1;
    }
}


static ngx_uint_t
fuzz_token(ngx_str_t *token)
{
    size_t  i;

    static const char  chars[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789!\"#$%&'()*+,-./:;<=>?@"
                                 "[\\]^_`{|}~";

    for (i = 0; i < token->len; i++) {
        if (token->data[i] == '\0' || strchr(chars, token->data[i]) == NULL) {
            return 0;
        }
    }

    return token->len > 0 && token->len <= NGX_ZERTIBAN_TOKEN_MAX;
}


/* 0 if it is none */

static time_t
fuzz_lifetime(fuzz_json_value_t *value)
{
    if (value->type == FUZZ_JSON_NONE || value->type == FUZZ_JSON_NULL) {
        return NGX_ZERTIBAN_LIFETIME_DEFAULT;
    }

    if (value->type == FUZZ_JSON_STRING) {
        return fuzz_numeric(&value->string);
    }

    if (value->type != FUZZ_JSON_NUMBER || value->number < 1) {
        return 0;
    }

    if (value->number > FUZZ_YEAR) {
        return FUZZ_YEAR;
    }

    return (time_t) value->number;
}


static time_t
fuzz_numeric(ngx_str_t *s)
{
    size_t      i;
    time_t      n;
    ngx_uint_t  dots;

    n = 0;
    dots = 0;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] == '.' && i && dots++ == 0) {
            continue;
        }

        if (s->data[i] < '0' || s->data[i] > '9') {
            return 0;
        }

        if (!dots) {
            n = ngx_min(10 * n + (s->data[i] - '0'), FUZZ_YEAR);
        }
    }

    return n;
}


static void
fuzz_text(fuzz_answer_t *answer, fuzz_json_value_t *value, ngx_str_t *text,
    u_char *data)
{
    u_char       ch;
    size_t       i;
    ngx_str_t   *s, *token;
    ngx_uint_t   n, hidden;

    s = &value->string;
    token = &answer->json.access_token.string;

    if (value->type != FUZZ_JSON_STRING) {
        fuzz_check(text->len == 0);
        return;
    }

    hidden = answer->json.access_token.type == FUZZ_JSON_STRING
             && token->len && fuzz_find(s, token);

    for (n = 0; n < answer->n; n++) {
        hidden |= fuzz_find(s, &answer->secrets[n]);
    }

    fuzz_check(hidden == (text->data != data));

    if (hidden) {
        return;
    }

    fuzz_check(text->len == ngx_min(s->len, NGX_ZERTIBAN_REASON_MAX));

    for (i = 0; i < text->len; i++) {
        ch = s->data[i];

        if (ch >= 0x20 && ch < 0x7f && ch != '"' && ch != '\\') {
            fuzz_check(text->data[i] == ch);

        } else {
            fuzz_check(text->data[i] == '?');
        }
    }
}


static ngx_uint_t
fuzz_find(ngx_str_t *s, ngx_str_t *part)
{
    size_t  i;

    for (i = 0; i + part->len <= s->len; i++) {
        if (strncasecmp((char *) s->data + i, (char *) part->data, part->len)
            == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* no other member may be the token, too */

static ngx_uint_t
fuzz_once(ngx_str_t *body, ngx_str_t *token)
{
    u_char     *p;
    ngx_str_t   rest;

    p = memmem(body->data, body->len, token->data, token->len);

    if (p == NULL || memchr(body->data, '\\', body->len)) {
        return 0;
    }

    rest.data = p + 1;
    rest.len = body->data + body->len - rest.data;

    return !fuzz_find(&rest, token);
}


static void
fuzz_free(void *p)
{
    if (p && fuzz_wiped.len) {
        fuzz_check(memmem(p, malloc_usable_size(p), fuzz_wiped.data,
                          fuzz_wiped.len) == NULL);
    }

    free(p);
}
