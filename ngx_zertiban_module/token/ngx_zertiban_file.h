
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_FILE_H_INCLUDED_
#define _NGX_ZERTIBAN_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what tells a file from the one that was there before */

typedef struct {
    ngx_err_t          err;             /* of stat(): there is none */
    dev_t              device;
    ngx_file_uniq_t    uniq;
    off_t              size;
    struct timespec    mtime;
    unsigned           others:1;        /* can read it */
} ngx_zertiban_file_id_t;


/* which file is at "name", which ends with a null; it blocks, as stat() does */

void ngx_zertiban_file_identify(ngx_str_t *name, ngx_zertiban_file_id_t *id);

/* whether both are the same */

ngx_uint_t ngx_zertiban_file_same(ngx_zertiban_file_id_t *one,
    ngx_zertiban_file_id_t *two);

/*
 * Whether the file was last written so short a time ago that one more write
 * might not change what is known of it.
 */

ngx_uint_t ngx_zertiban_file_young(ngx_zertiban_file_id_t *id);

/*
 * Reads at most "size" bytes of the regular file "name" into "buf", and sets
 * "id" to what it is, or if that is not known, to what is at its place.
 *
 * Returns the number of bytes, or NGX_ERROR with a static text in "*err" that
 * goes on after the name, and ngx_errno or 0 in "*no".
 */

ssize_t ngx_zertiban_file_read(ngx_str_t *name, u_char *buf, size_t size,
    ngx_zertiban_file_id_t *id, char **err, ngx_err_t *no);


#endif /* _NGX_ZERTIBAN_FILE_H_INCLUDED_ */
