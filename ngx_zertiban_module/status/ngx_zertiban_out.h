
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_OUT_H_INCLUDED_
#define _NGX_ZERTIBAN_OUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what one call of ngx_zertiban_out() can write, bytes */

#define NGX_ZERTIBAN_OUT_MAX  512


/* text of any length, in buffers of a pool; zeroed but for "pool" at first */

typedef struct {
    ngx_pool_t                 *pool;
    ngx_chain_t                *chain;
    ngx_chain_t                *last;
    off_t                       size;
    unsigned                    failed:1;       /* there was no memory */
} ngx_zertiban_out_t;


/*
 * All that follows adds to the end; if there is no memory out->failed is set,
 * and nothing else is done any more.
 *
 * ngx_zertiban_out() formats as ngx_sprintf() does.  The others escape a text,
 * which may be any bytes: what is not UTF-8, and control characters that the
 * format has no way for, become U+FFFD.  ngx_zertiban_out_json() adds the
 * quotes; ngx_zertiban_out_label() is for a value of a label of Prometheus,
 * between quotes, and ngx_zertiban_out_html() for HTML, between quotes, too.
 */

void ngx_cdecl ngx_zertiban_out(ngx_zertiban_out_t *out, const char *fmt, ...);
void ngx_zertiban_out_data(ngx_zertiban_out_t *out, u_char *data, size_t len);
void ngx_zertiban_out_json(ngx_zertiban_out_t *out, ngx_str_t *text);
void ngx_zertiban_out_html(ngx_zertiban_out_t *out, ngx_str_t *text);
void ngx_zertiban_out_label(ngx_zertiban_out_t *out, ngx_str_t *text);

#define ngx_zertiban_out_text(out, text)                                      \
    ngx_zertiban_out_data(out, (u_char *) (text), sizeof(text) - 1)


#endif /* _NGX_ZERTIBAN_OUT_H_INCLUDED_ */
