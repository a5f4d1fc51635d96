
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What makes two credentials the same.
 */


#include "ngx_zertiban_identity.h"

#include <openssl/evp.h>


static ngx_int_t ngx_zertiban_identity_cmp_str(ngx_str_t *one,
    ngx_str_t *two);
static ngx_int_t ngx_zertiban_identity_digest(ngx_str_t **strings,
    ngx_uint_t n, u_char *digest);
static ngx_int_t ngx_zertiban_identity_update(EVP_MD_CTX *ctx, ngx_str_t *s);


ngx_uint_t
ngx_zertiban_grant_equal(ngx_zertiban_grant_t *one, ngx_zertiban_grant_t *two)
{
    return ngx_zertiban_identity_cmp_str(&one->url, &two->url) == 0
           && ngx_zertiban_identity_cmp_str(&one->scope, &two->scope) == 0
           && ngx_zertiban_identity_cmp_str(&one->trust, &two->trust) == 0;
}


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
    ngx_int_t  rc;

    if (one->grant != two->grant) {
        return (one->grant < two->grant) ? -1 : 1;
    }

    if (one->kind != two->kind) {
        return (one->kind < two->kind) ? -1 : 1;
    }

    rc = ngx_zertiban_identity_cmp_str(&one->id, &two->id);

    return rc ? rc : ngx_zertiban_identity_cmp_str(&one->secret,
                                                   &two->secret);
}


static ngx_int_t
ngx_zertiban_identity_cmp_str(ngx_str_t *one, ngx_str_t *two)
{
    if (one->len != two->len) {
        return (one->len < two->len) ? -1 : 1;
    }

    return ngx_memcmp(one->data, two->data, one->len);
}


ngx_int_t
ngx_zertiban_identity_key(ngx_zertiban_identity_t *identity, ngx_uint_t trust,
    u_char *key)
{
    u_char     digest[NGX_ZERTIBAN_KEY_LEN];
    ngx_str_t  kind, *strings[6];

    static u_char  kinds[] = { 's', 'c', 'f' };

    kind.len = 1;
    kind.data = &kinds[identity->kind];

    strings[0] = &identity->grant->url;
    strings[1] = &identity->grant->scope;
    strings[2] = &identity->grant->trust;
    strings[3] = &kind;
    strings[4] = &identity->id;
    strings[5] = &identity->secret;

    if (ngx_zertiban_identity_digest(strings, 6, key) != NGX_OK) {
        return NGX_ERROR;
    }

    strings[1] = &identity->id;
    strings[2] = &identity->grant->scope;
    strings[3] = &identity->grant->trust;

    if (ngx_zertiban_identity_digest(strings, trust ? 4 : 3, digest) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(NGX_ZERTIBAN_FINGERPRINT(key), digest,
               NGX_ZERTIBAN_FINGERPRINT_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_identity_tag(ngx_str_t *one, ngx_str_t *two,
    ngx_zertiban_tag_t *tag)
{
    u_char      digest[NGX_ZERTIBAN_KEY_LEN];
    ngx_str_t  *strings[2];

    strings[0] = one;
    strings[1] = two;

    if (ngx_zertiban_identity_digest(strings, 2, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(tag, digest, sizeof(ngx_zertiban_tag_t));

    if (*tag == 0) {
        *tag = 1;
    }

    return NGX_OK;
}


ngx_zertiban_mark_t
ngx_zertiban_identity_mark(ngx_str_t *token)
{
    ngx_zertiban_tag_t  tag;

    static ngx_str_t  none = ngx_null_string;

    if (ngx_zertiban_identity_tag(token, &none, &tag) != NGX_OK) {
        return 0;
    }

    tag &= NGX_ZERTIBAN_MARK_MASK;

    return ngx_max(tag, 1);
}


static ngx_int_t
ngx_zertiban_identity_digest(ngx_str_t **strings, ngx_uint_t n, u_char *digest)
{
    ngx_int_t    rc;
    ngx_uint_t   i;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) ? NGX_OK
                                                           : NGX_ERROR;

    for (i = 0; i < n && rc == NGX_OK; i++) {
        rc = ngx_zertiban_identity_update(ctx, strings[i]);
    }

    if (rc == NGX_OK && EVP_DigestFinal_ex(ctx, digest, NULL) != 1) {
        rc = NGX_ERROR;
    }

    EVP_MD_CTX_free(ctx);

    return rc;
}


/* with the lengths no two identities are the same bytes */

static ngx_int_t
ngx_zertiban_identity_update(EVP_MD_CTX *ctx, ngx_str_t *s)
{
    return (EVP_DigestUpdate(ctx, &s->len, sizeof(size_t)) == 1
            && EVP_DigestUpdate(ctx, s->data, s->len) == 1)
           ? NGX_OK : NGX_ERROR;
}
