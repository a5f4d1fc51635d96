
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What makes a credential usable, and what makes two of them the same: two
 * times URL, id, secret and scope, a line each.
 */


#include "fuzz.h"

#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_secret.h"


static void fuzz_pair(ngx_zertiban_identity_t *one,
    ngx_zertiban_identity_t *two, u_char *key1, u_char *key2);
static ngx_int_t fuzz_sign(ngx_int_t n);
static void fuzz_checks(ngx_str_t *s);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    u_char                    keys[4][NGX_ZERTIBAN_KEY_LEN];
    uint32_t                  seed;
    ngx_str_t                 line, *s;
    ngx_uint_t                i, n;
    ngx_zertiban_identity_t   ids[4];

    seed = fuzz_seed(input);

    for (n = 0; n < 2; n++) {

        for (s = &ids[n].url; s <= &ids[n].scope; s++) {
            line = fuzz_line(input);
            *s = fuzz_copy(pool, &line);

            fuzz_checks(s);
        }
    }

    /* the same in other memory, and a byte moved from a member to the next */

    for (n = 2; n < 4; n++) {

        for (i = 0; i < 4; i++) {
            (&ids[n].url)[i] = fuzz_copy(pool, &(&ids[0].url)[i]);
        }
    }

    s = &ids[3].url + fuzz_random(&seed, 3);

    if (s[0].len) {
        line.len = s[1].len + 1;
        line.data = ngx_pnalloc(pool, line.len);
        fuzz_check(line.data != NULL);

        line.data[0] = s[0].data[--s[0].len];
        ngx_memcpy(line.data + 1, s[1].data, s[1].len);

        s[1] = line;
    }

    for (i = 0; i < 4; i++) {
        fuzz_check(ngx_zertiban_identity_key(&ids[i], keys[i]) == NGX_OK);

        for (n = 0; n <= i; n++) {
            fuzz_pair(&ids[i], &ids[n], keys[i], keys[n]);
        }
    }

    /* a total order */

    for (n = 0; n < 4; n++) {

        if (ngx_zertiban_identity_cmp(&ids[0], &ids[1]) <= 0
            && ngx_zertiban_identity_cmp(&ids[1], &ids[n]) <= 0)
        {
            fuzz_check(ngx_zertiban_identity_cmp(&ids[0], &ids[n]) <= 0);
        }
    }
}


static void
fuzz_pair(ngx_zertiban_identity_t *one, ngx_zertiban_identity_t *two,
    u_char *key1, u_char *key2)
{
    ngx_int_t   rc;
    ngx_uint_t  equal;

    equal = fuzz_str_eq(&one->url, &two->url)
            && fuzz_str_eq(&one->id, &two->id)
            && fuzz_str_eq(&one->secret, &two->secret)
            && fuzz_str_eq(&one->scope, &two->scope);

    rc = ngx_zertiban_identity_cmp(one, two);

    fuzz_check((rc == 0) == equal);
    fuzz_check(fuzz_sign(rc)
               == -fuzz_sign(ngx_zertiban_identity_cmp(two, one)));

    if (equal) {
        fuzz_check(ngx_zertiban_identity_hash(one)
                   == ngx_zertiban_identity_hash(two));
    }

    fuzz_check((ngx_memcmp(key1, key2, NGX_ZERTIBAN_KEY_LEN) == 0) == equal);
}


static ngx_int_t
fuzz_sign(ngx_int_t n)
{
    return (n > 0) - (n < 0);
}


static void
fuzz_checks(ngx_str_t *s)
{
    size_t      i;
    ngx_uint_t  ctl, colon;

    ctl = 0;
    colon = 0;

    for (i = 0; i < s->len; i++) {
        ctl |= (s->data[i] < 0x20 || s->data[i] == 0x7f);
        colon |= (s->data[i] == ':');
    }

    fuzz_check((ngx_zertiban_client_id_check(s) == NULL)
               == (s->len && !ctl && !colon));

    fuzz_check((ngx_zertiban_secret_check(s) == NULL)
               == (s->len && s->len <= NGX_ZERTIBAN_SECRET_MAX && !ctl));
}
