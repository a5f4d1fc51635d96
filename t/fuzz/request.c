
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The token request: a line each with the URL, the client id and the secret,
 * and the scope.
 */


#include "fuzz.h"

#include <openssl/evp.h>

#include "ngx_zertiban_request.h"
#include "ngx_zertiban_version.h"


static ngx_str_t fuzz_basic(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *secret);
static ngx_str_t fuzz_body(ngx_pool_t *pool, ngx_str_t *scope);
static void fuzz_form(ngx_str_t *form, ngx_str_t *scope);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    char                     *err;
    u_char                   *p;
    size_t                    len;
    uint32_t                  seed;
    ngx_buf_t                *b;
    ngx_str_t                 id, secret, scope, url, basic, body, sent,
                              expected, actual;
    ngx_zertiban_mark_t       refused;
    ngx_zertiban_endpoint_t   endpoint;

    seed = fuzz_seed(input);

    refused = fuzz_random(&seed, 2) ? 0 : 1 + (uint64_t) seed * seed / 3;
    refused &= NGX_ZERTIBAN_MARK_MASK;

    if (refused && fuzz_random(&seed, 2)) {
        refused |= NGX_ZERTIBAN_MARK_DOUBT;
    }

    url = fuzz_line(input);
    id = fuzz_line(input);
    secret = fuzz_line(input);

    url = fuzz_copy(pool, &url);
    id = fuzz_copy(pool, &id);
    secret = fuzz_copy(pool, &secret);
    scope = fuzz_copy(pool, input);

    if (ngx_zertiban_endpoint_parse(pool, &url, &endpoint, &err) != NGX_OK) {
        return;
    }

    b = ngx_zertiban_request_create(pool, &endpoint, &id, &secret, &scope,
                                    refused, &sent);
    fuzz_check(b != NULL);

    basic = fuzz_basic(pool, &id, &secret);
    body = fuzz_body(pool, &scope);

    len = endpoint.uri.len + endpoint.host_header.len + basic.len + body.len;

    p = ngx_pnalloc(pool, len + 1024);
    fuzz_check(p != NULL);

    expected.data = p;

    p = ngx_sprintf(p, "POST %V HTTP/1.1\r\nHost: %V\r\n", &endpoint.uri,
                    &endpoint.host_header);
    p = ngx_sprintf(p, "Authorization: Basic %V\r\n", &basic);
    p = ngx_sprintf(p, "Content-Type: application/x-www-form-urlencoded\r\n"
                       "Accept: application/json\r\n"
                       "Accept-Encoding: identity\r\n"
                       "Content-Length: %uz\r\n", body.len);
    p = ngx_sprintf(p, "User-Agent: ngx_zertiban_module/%s\r\n"
                       "Connection: close\r\n",
                    NGX_ZERTIBAN_VERSION);

    if (refused) {
        p += sprintf((char *) p, "Zertiban-Token-%s: %016llx\r\n",
                     (refused >> 63) ? "Doubted" : "Refused",
                     (unsigned long long) refused << 1 >> 1);
    }

    p = ngx_sprintf(p, "\r\n%V", &body);

    expected.len = p - expected.data;

    actual.len = b->last - b->pos;
    actual.data = b->pos;

    fuzz_check(fuzz_str_eq(&actual, &expected));

    fuzz_check(sent.data > b->pos && sent.data + sent.len < b->last);
    fuzz_check(fuzz_str_eq(&sent, &basic));

    fuzz_fail_after(fuzz_random(&seed, 8));

    b = ngx_zertiban_request_create(pool, &endpoint, &id, &secret, &scope,
                                    refused, &sent);

    fuzz_check((b == NULL) == fuzz_has_failed());
}


static ngx_str_t
fuzz_basic(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *secret)
{
    u_char     *p;
    ngx_str_t   basic;

    p = ngx_pnalloc(pool, id->len + secret->len + 1);
    basic.data = ngx_pnalloc(pool, 2 * (id->len + secret->len) + 8);

    fuzz_check(p != NULL && basic.data != NULL);

    ngx_memcpy(p, id->data, id->len);
    p[id->len] = ':';
    ngx_memcpy(p + id->len + 1, secret->data, secret->len);

    basic.len = EVP_EncodeBlock(basic.data, p, id->len + 1 + secret->len);

    return basic;
}


static ngx_str_t
fuzz_body(ngx_pool_t *pool, ngx_str_t *scope)
{
    char       *p;
    size_t      i;
    ngx_str_t   body, form;

    p = ngx_pnalloc(pool, 3 * scope->len + 64);
    fuzz_check(p != NULL);

    body.data = (u_char *) p;

    p += sprintf(p, "grant_type=client_credentials");

    if (scope->len) {
        p += sprintf(p, "&scope=");
    }

    form.data = (u_char *) p;

    for (i = 0; i < scope->len; i++) {

        if (scope->data[i] && strchr("abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789*-._", scope->data[i]))
        {
            *p++ = scope->data[i];

        } else if (scope->data[i] == ' ') {
            *p++ = '+';

        } else {
            p += sprintf(p, "%%%02X", scope->data[i]);
        }
    }

    form.len = (u_char *) p - form.data;
    body.len = (u_char *) p - body.data;

    fuzz_form(&form, scope);

    return body;
}


/* what the other side gets is the scope again */

static void
fuzz_form(ngx_str_t *form, ngx_str_t *scope)
{
    size_t     i, n;
    ngx_int_t  ch;

    for (i = 0, n = 0; i < form->len; i++, n++) {

        ch = form->data[i];

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {
            ch = ngx_hextoi(&form->data[i + 1], 2);
            i += 2;
        }

        fuzz_check(n < scope->len && scope->data[n] == ch);
    }

    fuzz_check(n == scope->len);
}
