
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Names of hosts, and which of them are equal.
 */


#include "ngx_zertiban_hosts.h"
#include "ngx_zertiban_endpoint.h"


static char *ngx_zertiban_hosts_char(u_char ch);


ngx_zertiban_hosts_t *
ngx_zertiban_hosts_create(ngx_pool_t *pool, ngx_str_t *values, ngx_uint_t n,
    ngx_uint_t *bad, char **err)
{
    ngx_uint_t             i;
    ngx_zertiban_hosts_t  *hosts;

    *err = NULL;

    hosts = ngx_pcalloc(pool, sizeof(ngx_zertiban_hosts_t));
    if (hosts == NULL) {
        return NULL;
    }

    hosts->names = ngx_palloc(pool, n * sizeof(ngx_str_t));
    if (hosts->names == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {

        *bad = i;

        if (values[i].len == 3
            && ngx_strncasecmp(values[i].data, (u_char *) "any", 3) == 0)
        {
            if (ngx_strncmp(values[i].data, "any", 3) != 0) {
                *err = "is no name of a host: write \"any\"";
                return NULL;
            }

            if (n != 1) {
                *err = "stands alone: remove it, or the names";
                return NULL;
            }

            hosts->any = 1;

            return hosts;
        }

        *err = ngx_zertiban_hosts_check(&values[i]);

        if (*err) {
            return NULL;
        }

        hosts->names[i] = ngx_zertiban_hosts_relative(&values[i]);
    }

    hosts->nnames = n;

    return hosts;
}


char *
ngx_zertiban_hosts_check(ngx_str_t *name)
{
    char       *err;
    size_t      i;
    ngx_str_t   s;

    s = ngx_zertiban_hosts_relative(name);

    if (s.len == 0) {
        return "is empty: write a name";
    }

    if (ngx_zertiban_endpoint_address(s.data, s.len) || s.data[0] == '[') {
        return "is an address, which nginx verifies no certificate for: "
               "write the name that is in the certificate";
    }

    for (i = 0; i < s.len; i++) {

        err = ngx_zertiban_hosts_char(s.data[i]);

        if (err == NULL) {
            continue;
        }

        if (s.data[i] == ':' && s.len - i > 2 && s.data[i + 1] == '/') {
            return "has a scheme: write the name alone";
        }

        return err;
    }

    if (s.data[0] == '.' || s.data[s.len - 1] == '.') {
        return "is no name of a host: write it in full";
    }

    return NULL;
}


static char *
ngx_zertiban_hosts_char(u_char ch)
{
    u_char  c;

    c = (u_char) (ch | 0x20);

    if ((ch >= '0' && ch <= '9') || (c >= 'a' && c <= 'z')) {
        return NULL;
    }

    switch (ch) {

    case '-':
    case '.':
    case '_':
        return NULL;

    case '$':
        return "has variables: write the name itself";

    case ':':
        return "has a port: write the name alone";

    case '/':
        return "has a path: write the name alone";

    case '*':
        return "is a pattern: write each name in full";

    default:
        return "has a character that is in no name of a host: write the name "
               "alone";
    }
}


ngx_str_t
ngx_zertiban_hosts_relative(ngx_str_t *name)
{
    ngx_str_t  s;

    s = *name;

    if (s.len && s.data[s.len - 1] == '.') {
        s.len--;
    }

    return s;
}


ngx_uint_t
ngx_zertiban_hosts_equal(ngx_str_t *one, ngx_str_t *two)
{
    ngx_str_t  a, b;

    a = ngx_zertiban_hosts_relative(one);
    b = ngx_zertiban_hosts_relative(two);

    return a.len == b.len && ngx_strncasecmp(a.data, b.data, a.len) == 0;
}


ngx_uint_t
ngx_zertiban_hosts_named(ngx_zertiban_hosts_t *hosts, ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < hosts->nnames; i++) {
        if (ngx_zertiban_hosts_equal(&hosts->names[i], name)) {
            return 1;
        }
    }

    return 0;
}
