
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Text that is written from its beginning to its end, whatever its length.
 */


#include "ngx_zertiban_out.h"


#define NGX_ZERTIBAN_OUT_BUF  8192        /* bytes */


/* writes the character "ch", which is one byte, in another way, or returns 0 */

typedef ngx_uint_t (*ngx_zertiban_out_pt)(ngx_zertiban_out_t *out, u_char ch);


static void ngx_zertiban_out_escape(ngx_zertiban_out_t *out, ngx_str_t *text,
    ngx_zertiban_out_pt escape);
static size_t ngx_zertiban_out_utf8(u_char *p, u_char *last);
static ngx_uint_t ngx_zertiban_out_json_char(ngx_zertiban_out_t *out,
    u_char ch);
static ngx_uint_t ngx_zertiban_out_html_char(ngx_zertiban_out_t *out,
    u_char ch);
static ngx_uint_t ngx_zertiban_out_label_char(ngx_zertiban_out_t *out,
    u_char ch);


void ngx_cdecl
ngx_zertiban_out(ngx_zertiban_out_t *out, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;
    u_char    buf[NGX_ZERTIBAN_OUT_MAX];

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + NGX_ZERTIBAN_OUT_MAX, fmt, args);
    va_end(args);

    ngx_zertiban_out_data(out, buf, p - buf);
}


void
ngx_zertiban_out_data(ngx_zertiban_out_t *out, u_char *data, size_t len)
{
    size_t        n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    while (len && !out->failed) {

        b = out->last ? out->last->buf : NULL;

        if (b == NULL || b->last == b->end) {

            cl = ngx_alloc_chain_link(out->pool);
            b = cl ? ngx_create_temp_buf(out->pool, NGX_ZERTIBAN_OUT_BUF)
                   : NULL;

            if (b == NULL) {
                out->failed = 1;
                return;
            }

            cl->buf = b;
            cl->next = NULL;

            if (out->last) {
                out->last->next = cl;

            } else {
                out->chain = cl;
            }

            out->last = cl;
        }

        n = ngx_min(len, (size_t) (b->end - b->last));

        b->last = ngx_cpymem(b->last, data, n);

        data += n;
        len -= n;
        out->size += (off_t) n;
    }
}


void
ngx_zertiban_out_json(ngx_zertiban_out_t *out, ngx_str_t *text)
{
    ngx_zertiban_out_text(out, "\"");
    ngx_zertiban_out_escape(out, text, ngx_zertiban_out_json_char);
    ngx_zertiban_out_text(out, "\"");
}


void
ngx_zertiban_out_html(ngx_zertiban_out_t *out, ngx_str_t *text)
{
    ngx_zertiban_out_escape(out, text, ngx_zertiban_out_html_char);
}


void
ngx_zertiban_out_label(ngx_zertiban_out_t *out, ngx_str_t *text)
{
    ngx_zertiban_out_escape(out, text, ngx_zertiban_out_label_char);
}


static void
ngx_zertiban_out_escape(ngx_zertiban_out_t *out, ngx_str_t *text,
    ngx_zertiban_out_pt escape)
{
    u_char  *p, *last;
    size_t   len;

    p = text->data;
    last = p + text->len;

    while (p < last) {

        len = ngx_zertiban_out_utf8(p, last);

        if (len == 1 && escape(out, *p)) {
            p++;
            continue;
        }

        if (len == 0 || (len == 1 && (*p < 0x20 || *p == 0x7f))) {
            ngx_zertiban_out_text(out, "\xef\xbf\xbd");
            p++;
            continue;
        }

        ngx_zertiban_out_data(out, p, len);
        p += len;
    }
}


/*
 * The length of the character at "p", or 0 if there is none.  What
 * ngx_utf8_decode() takes has surrogates, and may swallow what follows.
 */

static size_t
ngx_zertiban_out_utf8(u_char *p, u_char *last)
{
    size_t    i, len;
    uint32_t  ch, min;

    if (*p < 0x80) {
        return 1;
    }

    if (*p >= 0xc2 && *p < 0xe0) {
        len = 2;
        min = 0x80;
        ch = *p & 0x1f;

    } else if (*p >= 0xe0 && *p < 0xf0) {
        len = 3;
        min = 0x800;
        ch = *p & 0x0f;

    } else if (*p >= 0xf0 && *p < 0xf5) {
        len = 4;
        min = 0x10000;
        ch = *p & 0x07;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < len) {
        return 0;
    }

    for (i = 1; i < len; i++) {

        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        ch = (ch << 6) | (p[i] & 0x3f);
    }

    return (ch < min || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000)) ? 0
                                                                       : len;
}


static ngx_uint_t
ngx_zertiban_out_json_char(ngx_zertiban_out_t *out, u_char ch)
{
    if (ch == '"' || ch == '\\') {
        ngx_zertiban_out(out, "\\%c", ch);
        return 1;
    }

    if (ch < 0x20 || ch == 0x7f) {
        ngx_zertiban_out(out, "\\u%04xd", (int) ch);
        return 1;
    }

    return 0;
}


static ngx_uint_t
ngx_zertiban_out_html_char(ngx_zertiban_out_t *out, u_char ch)
{
    switch (ch) {

    case '&':
        ngx_zertiban_out_text(out, "&amp;");
        return 1;

    case '<':
        ngx_zertiban_out_text(out, "&lt;");
        return 1;

    case '>':
        ngx_zertiban_out_text(out, "&gt;");
        return 1;

    case '"':
        ngx_zertiban_out_text(out, "&quot;");
        return 1;

    case '\'':
        ngx_zertiban_out_text(out, "&#39;");
        return 1;

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_zertiban_out_label_char(ngx_zertiban_out_t *out, u_char ch)
{
    if (ch == '"' || ch == '\\') {
        ngx_zertiban_out(out, "\\%c", ch);
        return 1;
    }

    if (ch == LF) {
        ngx_zertiban_out_text(out, "\\n");
        return 1;
    }

    return 0;
}
