
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What makes two credentials the same.
 */


#include "ngx_zertiban_identity.h"

#include <openssl/evp.h>


/* what differs between most of them, and is no secret */

uint32_t
ngx_zertiban_identity_hash(ngx_zertiban_identity_t *identity)
{
    return ngx_murmur_hash2(identity->id.data, identity->id.len);
}


ngx_int_t
ngx_zertiban_identity_cmp(ngx_zertiban_identity_t *one,
    ngx_zertiban_identity_t *two)
{
    ngx_int_t   rc;
    ngx_str_t  *s1, *s2;

    s2 = &two->url;

    for (s1 = &one->url; s1 <= &one->secret; s1++, s2++) {

        /* a location's URL and scope are its credentials' own, mostly */

        if (s1->len != s2->len) {
            return (s1->len < s2->len) ? -1 : 1;
        }

        if (s1->data == s2->data) {
            continue;
        }

        rc = ngx_memcmp(s1->data, s2->data, s1->len);

        if (rc) {
            return rc;
        }
    }

    return 0;
}


ngx_int_t
ngx_zertiban_identity_key(ngx_zertiban_identity_t *identity, u_char *key)
{
    ngx_int_t    rc;
    ngx_str_t   *s;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        goto done;
    }

    for (s = &identity->url; s <= &identity->secret; s++) {

        /* with the lengths no two identities are the same bytes */

        if (EVP_DigestUpdate(ctx, &s->len, sizeof(size_t)) != 1
            || EVP_DigestUpdate(ctx, s->data, s->len) != 1)
        {
            goto done;
        }
    }

    if (EVP_DigestFinal_ex(ctx, key, NULL) == 1) {
        rc = NGX_OK;
    }

done:

    EVP_MD_CTX_free(ctx);

    return rc;
}
