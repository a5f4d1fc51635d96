
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_IDENTITY_H_INCLUDED_
#define _NGX_ZERTIBAN_IDENTITY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_zertiban_mark.h"


#define NGX_ZERTIBAN_KEY_LEN    32                /* SHA-256 */

#define NGX_ZERTIBAN_PAIRS_MAX  8

/* the end of a key: what people know the credential by */

#define NGX_ZERTIBAN_FINGERPRINT_LEN  6           /* bytes */

#define NGX_ZERTIBAN_FINGERPRINT(key)                                         \
    ((key) + NGX_ZERTIBAN_KEY_LEN - NGX_ZERTIBAN_FINGERPRINT_LEN)


/*
 * What is asked for, and from whom: a configuration has one for all locations
 * that agree in it.  "trust" is what "zertiban_ssl_*" says, in any form.
 */

typedef struct {
    ngx_str_t               url;
    ngx_str_t               scope;
    ngx_str_t               trust;
} ngx_zertiban_grant_t;


/*
 * What the configuration names is the same as long as its name is, and has a
 * secret only where that comes with a request.
 */

typedef enum {
    NGX_ZERTIBAN_BY_SECRET = 0,     /* "id" is the client's */
    NGX_ZERTIBAN_BY_CLIENT,         /* as well */
    NGX_ZERTIBAN_BY_FILE            /* "id" is the path of a file of pairs */
} ngx_zertiban_kind_e;


typedef struct {
    ngx_zertiban_grant_t   *grant;
    ngx_zertiban_kind_e     kind;
    ngx_str_t               id;
    ngx_str_t               secret;
} ngx_zertiban_identity_t;


/*
 * Stands for a pair of client id and secret, or for several of these, in shared
 * memory; 0 is none.
 */

typedef uint64_t  ngx_zertiban_tag_t;


/* what a credential of the configuration is asked for with, the best first */

typedef struct {
    ngx_zertiban_tag_t      all;
    ngx_zertiban_tag_t      pairs[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_uint_t              n;
} ngx_zertiban_tags_t;


/* whether they say the same */

ngx_uint_t ngx_zertiban_grant_equal(ngx_zertiban_grant_t *one,
    ngx_zertiban_grant_t *two);

/*
 * A quick hash and a total order, for look-ups in this process; grants are the
 * same if they are at the same place.
 */

uint32_t ngx_zertiban_identity_hash(ngx_zertiban_identity_t *identity);
ngx_int_t ngx_zertiban_identity_cmp(ngx_zertiban_identity_t *one,
    ngx_zertiban_identity_t *two);

/*
 * The name of the credential in shared memory, NGX_ZERTIBAN_KEY_LEN bytes: a
 * digest, which tells no secret, whose end is one of the endpoint, the id and
 * the scope only, and of what is trusted if "trust" is 1.  NGX_ERROR if OpenSSL
 * has failed.
 */

ngx_int_t ngx_zertiban_identity_key(ngx_zertiban_identity_t *identity,
    ngx_uint_t trust, u_char *key);

/* of a token; 0 if OpenSSL has failed */

ngx_zertiban_mark_t ngx_zertiban_identity_mark(ngx_str_t *token);

/* of two strings; NGX_ERROR if OpenSSL has failed */

ngx_int_t ngx_zertiban_identity_tag(ngx_str_t *one, ngx_str_t *two,
    ngx_zertiban_tag_t *tag);


#endif /* _NGX_ZERTIBAN_IDENTITY_H_INCLUDED_ */
