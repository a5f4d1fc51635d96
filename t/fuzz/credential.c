
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What makes a credential usable, and what makes two of them the same: two
 * times URL, id, secret, scope and "trust", a line each.
 */


#include "fuzz.h"

#include "ngx_zertiban_identity.h"
#include "ngx_zertiban_secret.h"


#define FUZZ_MEMBERS  5


typedef struct {
    ngx_str_t                 members[FUZZ_MEMBERS];
    ngx_zertiban_grant_t      grant;
    ngx_zertiban_identity_t   identity;
} fuzz_named_t;


static void fuzz_name(fuzz_named_t *ids, ngx_uint_t n, ngx_uint_t kind);
static void fuzz_pair(fuzz_named_t *one, fuzz_named_t *two, u_char *key1,
    u_char *key2);
static ngx_int_t fuzz_sign(ngx_int_t n);
static void fuzz_checks(ngx_str_t *s);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    u_char         keys[4][NGX_ZERTIBAN_KEY_LEN];
    uint32_t       seed;
    ngx_str_t      line, *s;
    ngx_uint_t     i, n;
    fuzz_named_t   ids[4];

    seed = fuzz_seed(input);

    for (n = 0; n < 2; n++) {

        for (i = 0; i < FUZZ_MEMBERS; i++) {
            line = fuzz_line(input);
            ids[n].members[i] = fuzz_copy(pool, &line);

            fuzz_checks(&ids[n].members[i]);
        }
    }

    /* the same in other memory, and a byte moved from a member to the next */

    for (n = 2; n < 4; n++) {

        for (i = 0; i < FUZZ_MEMBERS; i++) {
            ids[n].members[i] = fuzz_copy(pool, &ids[0].members[i]);
        }
    }

    s = &ids[3].members[fuzz_random(&seed, FUZZ_MEMBERS - 1)];

    if (s[0].len) {
        line.len = s[1].len + 1;
        line.data = ngx_pnalloc(pool, line.len);
        fuzz_check(line.data != NULL);

        line.data[0] = s[0].data[--s[0].len];
        ngx_memcpy(line.data + 1, s[1].data, s[1].len);

        s[1] = line;
    }

    for (i = 0; i < 4; i++) {
        fuzz_name(ids, i, fuzz_random(&seed, 2));

        fuzz_check(ngx_zertiban_identity_key(&ids[i].identity, 0, keys[i])
                   == NGX_OK);

        for (n = 0; n <= i; n++) {
            fuzz_pair(&ids[i], &ids[n], keys[i], keys[n]);
        }
    }

    /* a total order */

    for (n = 0; n < 4; n++) {

        if (ngx_zertiban_identity_cmp(&ids[0].identity, &ids[1].identity) <= 0
            && ngx_zertiban_identity_cmp(&ids[1].identity, &ids[n].identity)
               <= 0)
        {
            fuzz_check(ngx_zertiban_identity_cmp(&ids[0].identity,
                                                 &ids[n].identity)
                       <= 0);
        }
    }
}


/* equal grants are one, as in a configuration */

static void
fuzz_name(fuzz_named_t *ids, ngx_uint_t n, ngx_uint_t kind)
{
    ngx_uint_t     i;
    fuzz_named_t  *named;

    named = &ids[n];

    named->grant.url = named->members[0];
    named->grant.scope = named->members[3];
    named->grant.trust = named->members[4];

    named->identity.grant = &named->grant;
    named->identity.kind = kind;
    named->identity.id = named->members[1];
    named->identity.secret = named->members[2];

    for (i = 0; i < n; i++) {
        if (ngx_zertiban_grant_equal(&ids[i].grant, &named->grant)) {
            named->identity.grant = ids[i].identity.grant;
            break;
        }
    }
}


static void
fuzz_pair(fuzz_named_t *one, fuzz_named_t *two, u_char *key1, u_char *key2)
{
    ngx_int_t   rc;
    ngx_uint_t  i, equal;

    equal = (one->identity.kind == two->identity.kind);

    for (i = 0; i < FUZZ_MEMBERS; i++) {
        equal &= fuzz_str_eq(&one->members[i], &two->members[i]);
    }

    rc = ngx_zertiban_identity_cmp(&one->identity, &two->identity);

    fuzz_check((rc == 0) == equal);
    fuzz_check(fuzz_sign(rc)
               == -fuzz_sign(ngx_zertiban_identity_cmp(&two->identity,
                                                       &one->identity)));

    if (equal) {
        fuzz_check(ngx_zertiban_identity_hash(&one->identity)
                   == ngx_zertiban_identity_hash(&two->identity));
    }

    fuzz_check((ngx_memcmp(key1, key2, NGX_ZERTIBAN_KEY_LEN) == 0) == equal);

    /* of URL, id and scope, whatever the secret is */

    equal = fuzz_str_eq(&one->members[0], &two->members[0])
            && fuzz_str_eq(&one->members[1], &two->members[1])
            && fuzz_str_eq(&one->members[3], &two->members[3]);

    fuzz_check((ngx_memcmp(NGX_ZERTIBAN_FINGERPRINT(key1),
                           NGX_ZERTIBAN_FINGERPRINT(key2),
                           NGX_ZERTIBAN_FINGERPRINT_LEN)
                == 0)
               == equal);
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
