
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_HOSTS_H_INCLUDED_
#define _NGX_ZERTIBAN_HOSTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the names that a token may be sent to */

typedef struct {
    ngx_str_t     *names;             /* without a final dot */
    ngx_uint_t     nnames;

    unsigned       any:1;
} ngx_zertiban_hosts_t;


/*
 * Makes a list of "n" values of a directive: names, or "any" alone.  It is of
 * "pool", and the bytes are those of the values.
 *
 * Returns NULL with a static text in "*err" and the number of the value there
 * in "*bad", or with NULL in "*err" if there is no memory.
 */

ngx_zertiban_hosts_t *ngx_zertiban_hosts_create(ngx_pool_t *pool,
    ngx_str_t *values, ngx_uint_t n, ngx_uint_t *bad, char **err);

/*
 * Whether it is a name that a certificate can be verified for.  Returns NULL,
 * or a static text that says what is wrong.
 */

char *ngx_zertiban_hosts_check(ngx_str_t *name);

/* without the final dot of an absolute name; the bytes are those of "name" */

ngx_str_t ngx_zertiban_hosts_relative(ngx_str_t *name);

/* in any case, and with a final dot or without */

ngx_uint_t ngx_zertiban_hosts_equal(ngx_str_t *one, ngx_str_t *two);
ngx_uint_t ngx_zertiban_hosts_named(ngx_zertiban_hosts_t *hosts,
    ngx_str_t *name);


#endif /* _NGX_ZERTIBAN_HOSTS_H_INCLUDED_ */
