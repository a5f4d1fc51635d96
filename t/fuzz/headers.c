
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The headers of a client: "name: value" in each line, "--" between the parts
 * of the list.  What the upstream sees, and that nothing of it stays.
 */


#include "fuzz.h"

#include "ngx_zertiban_headers.h"

#include <ctype.h>


#define FUZZ_HEADERS  64


typedef struct {
    ngx_http_request_t    request;
    ngx_list_part_t      *last;

    ngx_table_elt_t      *headers[FUZZ_HEADERS];
    ngx_table_elt_t       copies[FUZZ_HEADERS];
    ngx_uint_t            n;

    ngx_list_part_t      *parts[FUZZ_HEADERS];
    ngx_list_part_t       part_copies[FUZZ_HEADERS];
    ngx_uint_t            nparts;

    ngx_uint_t            reserved;
} fuzz_client_t;


static void fuzz_client(ngx_pool_t *pool, ngx_str_t *input,
    fuzz_client_t *client);
static void fuzz_part(ngx_pool_t *pool, ngx_str_t *input,
    fuzz_client_t *client);
static ngx_uint_t fuzz_part_lines(ngx_str_t input);
static void fuzz_header(ngx_pool_t *pool, ngx_str_t *line,
    ngx_table_elt_t *h);
static ngx_uint_t fuzz_reserved(ngx_table_elt_t *h);
static void fuzz_look(fuzz_client_t *client, ngx_str_t *authorization,
    ngx_str_t *tenant);
static ngx_table_elt_t *fuzz_next(ngx_list_part_t **part, ngx_uint_t *i);
static void fuzz_look_injected(ngx_table_elt_t *h, const char *name,
    ngx_str_t *value);
static void fuzz_look_restored(fuzz_client_t *client,
    ngx_http_request_t *before);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    uint32_t                seed;
    ngx_int_t               rc;
    ngx_list_part_t         elsewhere;
    ngx_http_request_t      before;
    ngx_zertiban_headers_t  headers;

    static ngx_str_t      authorization = ngx_string("Bearer eyJ0.t-_~+/k==");
    static ngx_str_t      tenant = ngx_string("7f3bb5f0-2f0e-4d4b-9d59");
    static fuzz_client_t  client;

    seed = fuzz_seed(input);

    ngx_memzero(&client, sizeof(fuzz_client_t));

    ngx_zertiban_headers_init();

    fuzz_client(pool, input, &client);

    if (fuzz_random(&seed, 2)) {

        /* of a subrequest: it points into the list of the parent */

        client.request.headers_in.headers.last = &elsewhere;
    }

    before = client.request;

    for (rc = 0; rc < 2; rc++) {
        ngx_memset(&headers, 0xa5, sizeof(ngx_zertiban_headers_t));

        fuzz_check(ngx_zertiban_headers_inject(&client.request, &headers,
                                               &authorization, &tenant)
                   == NGX_OK);

        fuzz_look(&client, &authorization, &tenant);

        ngx_zertiban_headers_restore(&client.request, &headers);

        fuzz_look_restored(&client, &before);
    }

    fuzz_fail_after(fuzz_random(&seed, 4));

    rc = ngx_zertiban_headers_inject(&client.request, &headers,
                                     &authorization, &tenant);

    fuzz_check((rc == NGX_ERROR) == fuzz_has_failed());

    if (rc == NGX_OK) {
        fuzz_look(&client, &authorization, &tenant);
        ngx_zertiban_headers_restore(&client.request, &headers);
    }

    fuzz_look_restored(&client, &before);
}


static void
fuzz_client(ngx_pool_t *pool, ngx_str_t *input, fuzz_client_t *client)
{
    ngx_uint_t           i;
    ngx_http_request_t  *r;

    r = &client->request;

    r->pool = pool;
    r->headers_in.headers.size = sizeof(ngx_table_elt_t);
    r->headers_in.headers.nalloc = 20;
    r->headers_in.headers.pool = pool;

    do {
        fuzz_part(pool, input, client);

    } while (input->len && client->n < FUZZ_HEADERS);

    r->headers_in.headers.last = client->parts[client->nparts - 1];

#if (nginx_version >= 1023000)

    /* as if ngx_http_link_multi_headers() had linked all of them */

    r->headers_in.multi_linked = 1;

    for (i = 1; i < client->n; i++) {
        client->headers[i - 1]->next = client->headers[i];
    }

#endif

    for (i = 0; i < client->n; i++) {
        client->copies[i] = *client->headers[i];
        client->reserved += fuzz_reserved(client->headers[i]);
    }

    for (i = 0; i < client->nparts; i++) {
        client->part_copies[i] = *client->parts[i];
    }
}


/* only the first part of a list of nginx can be empty */

static void
fuzz_part(ngx_pool_t *pool, ngx_str_t *input, fuzz_client_t *client)
{
    ngx_str_t         line;
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;
    ngx_list_part_t  *part;

    n = ngx_min(fuzz_part_lines(*input), FUZZ_HEADERS - client->n);

    if (client->nparts == 0) {
        part = &client->request.headers_in.headers.part;

    } else if (n) {
        part = ngx_pcalloc(pool, sizeof(ngx_list_part_t));
        fuzz_check(part != NULL);

        client->parts[client->nparts - 1]->next = part;

    } else {
        (void) fuzz_line(input);
        return;
    }

    h = ngx_pcalloc(pool, n * sizeof(ngx_table_elt_t));
    fuzz_check(h != NULL);

    part->elts = h;
    part->nelts = n;

    client->parts[client->nparts++] = part;

    for (i = 0; i < n; i++) {
        line = fuzz_line(input);

        fuzz_header(pool, &line, &h[i]);
        client->headers[client->n++] = &h[i];
    }

    (void) fuzz_line(input);
}


static ngx_uint_t
fuzz_part_lines(ngx_str_t input)
{
    ngx_str_t   line;
    ngx_uint_t  n;

    for (n = 0; input.len; n++) {
        line = fuzz_line(&input);

        if (line.len == 2 && ngx_strncmp(line.data, "--", 2) == 0) {
            break;
        }
    }

    return n;
}


static void
fuzz_header(ngx_pool_t *pool, ngx_str_t *line, ngx_table_elt_t *h)
{
    u_char     *p;
    ngx_str_t   name, value;

    name = *line;
    p = memchr(line->data, ':', line->len);

    if (p) {
        name.len = p - line->data;
        p++;

    } else {
        p = line->data + line->len;
    }

    value.data = p;
    value.len = line->data + line->len - p;

    h->key = fuzz_copy(pool, &name);
    h->value = fuzz_copy(pool, &value);

    name = fuzz_copy(pool, &name);
    h->lowcase_key = name.data;
    ngx_strlow(h->lowcase_key, h->key.data, h->key.len);

    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);
}


/* the words of the name, with "-" between them */

static ngx_uint_t
fuzz_reserved(ngx_table_elt_t *h)
{
    size_t      i, n;
    char        name[8192 + 1];
    ngx_uint_t  word;

    n = 0;
    word = 0;

    fuzz_check(h->key.len * 2 < sizeof(name));

    for (i = 0; i < h->key.len; i++) {

        if (!isalnum(h->key.data[i])) {
            word = 0;
            continue;
        }

        if (!word && n) {
            name[n++] = '-';
        }

        word = 1;
        name[n++] = h->key.data[i];
    }

    name[n] = '\0';

    return strcasecmp(name, "Authorization") == 0
           || strcasecmp(name, "X-Tenant-ID") == 0;
}


/* as an upstream that builds its request */

static void
fuzz_look(fuzz_client_t *client, ngx_str_t *authorization, ngx_str_t *tenant)
{
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h, copy;
    ngx_list_part_t  *part;

    i = 0;
    part = &client->request.headers_in.headers.part;

    for (n = 0; n < client->n; n++) {

        if (fuzz_reserved(client->headers[n])) {
            continue;
        }

        h = fuzz_next(&part, &i);
        fuzz_check(h != NULL);

        copy = client->copies[n];

#if (nginx_version >= 1023000)

        if (client->reserved) {
            copy.next = NULL;
        }

#endif

        fuzz_check(ngx_memcmp(h, &copy, sizeof(ngx_table_elt_t)) == 0);
    }

    fuzz_look_injected(fuzz_next(&part, &i), "Authorization", authorization);
    fuzz_look_injected(fuzz_next(&part, &i), "x-tenant-id", tenant);

    fuzz_check(fuzz_next(&part, &i) == NULL);

#if (nginx_version >= 1023000)
    fuzz_check(client->request.headers_in.multi_linked
               == (client->reserved == 0));
#endif
}


/* the loop that is in every upstream module */

static ngx_table_elt_t *
fuzz_next(ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_table_elt_t  *h;

    if (*i >= (*part)->nelts) {

        if ((*part)->next == NULL) {
            return NULL;
        }

        *part = (*part)->next;
        *i = 0;
    }

    h = (*part)->elts;

    return &h[(*i)++];
}


static void
fuzz_look_injected(ngx_table_elt_t *h, const char *name, ngx_str_t *value)
{
    size_t  i, len;

    fuzz_check(h != NULL);

    len = ngx_strlen(name);

    fuzz_check(h->key.len == len);
    fuzz_check(ngx_memcmp(h->key.data, name, len) == 0);
    fuzz_check(fuzz_str_eq(&h->value, value));

    for (i = 0; i < len; i++) {
        fuzz_check(h->lowcase_key[i] == ngx_tolower(name[i]));
    }

    fuzz_check(h->hash == ngx_hash_key(h->lowcase_key, len));

#if (nginx_version >= 1023000)
    fuzz_check(h->next == NULL);
#endif
}


static void
fuzz_look_restored(fuzz_client_t *client, ngx_http_request_t *before)
{
    ngx_uint_t  i;

    fuzz_check(ngx_memcmp(&client->request, before, sizeof(ngx_http_request_t))
               == 0);

    for (i = 0; i < client->n; i++) {
        fuzz_check(ngx_memcmp(client->headers[i], &client->copies[i],
                              sizeof(ngx_table_elt_t)) == 0);
    }

    for (i = 0; i < client->nparts; i++) {
        fuzz_check(ngx_memcmp(client->parts[i], &client->part_copies[i],
                              sizeof(ngx_list_part_t)) == 0);
    }
}
