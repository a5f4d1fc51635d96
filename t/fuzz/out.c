
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the status writes of a text that may be anything: it is read back, and
 * is the same but for what is no UTF-8.
 */


#include "fuzz.h"
#include "fuzz_json.h"

#include "ngx_zertiban_out.h"


static ngx_str_t fuzz_text(ngx_pool_t *pool, ngx_zertiban_out_t *out);
static ngx_str_t fuzz_clean(ngx_pool_t *pool, ngx_str_t *input,
    const char *controls);
static size_t fuzz_character(u_char *p, size_t len);
static size_t fuzz_encode(u_char *p, uint32_t ch);
static void fuzz_json_same(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *clean);
static void fuzz_same(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *clean,
    const char **escapes);


static const char  *fuzz_html[] = {
    "&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", "\"", "&#39;", "'", NULL
};

static const char  *fuzz_label[] = {
    "\\\\", "\\", "\\\"", "\"", "\\n", "\n", NULL
};


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    ngx_str_t           copy, text, clean;
    ngx_zertiban_out_t  json, html, label;

    ngx_memzero(&json, sizeof(ngx_zertiban_out_t));
    json.pool = pool;
    html = json;
    label = json;

    copy = fuzz_copy(pool, input);

    ngx_zertiban_out_json(&json, &copy);
    text = fuzz_text(pool, &json);
    clean = fuzz_clean(pool, &copy, NULL);
    fuzz_json_same(pool, &text, &clean);

    ngx_zertiban_out_html(&html, &copy);
    text = fuzz_text(pool, &html);
    clean = fuzz_clean(pool, &copy, "");
    fuzz_same(pool, &text, &clean, fuzz_html);

    ngx_zertiban_out_label(&label, &copy);
    text = fuzz_text(pool, &label);
    clean = fuzz_clean(pool, &copy, "\n");
    fuzz_same(pool, &text, &clean, fuzz_label);
}


/* all buffers as one */

static ngx_str_t
fuzz_text(ngx_pool_t *pool, ngx_zertiban_out_t *out)
{
    u_char       *p;
    ngx_str_t     text;
    ngx_chain_t  *cl;

    fuzz_check(!out->failed);

    text.len = out->size;
    text.data = ngx_pnalloc(pool, text.len + 1);
    fuzz_check(text.data != NULL);

    p = text.data;

    for (cl = out->chain; cl; cl = cl->next) {
        fuzz_check(ngx_buf_size(cl->buf) > 0);
        fuzz_check((size_t) (p - text.data) + ngx_buf_size(cl->buf)
                   <= text.len);

        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    fuzz_check((size_t) (p - text.data) == text.len);

    return text;
}


/* what is no UTF-8 replaced, and control characters but for "controls" */

static ngx_str_t
fuzz_clean(ngx_pool_t *pool, ngx_str_t *input, const char *controls)
{
    u_char     *p, *last;
    size_t      len;
    ngx_str_t   clean;

    clean.data = ngx_pnalloc(pool, 3 * input->len + 1);
    fuzz_check(clean.data != NULL);

    clean.len = 0;

    p = input->data;
    last = p + input->len;

    while (p < last) {

        len = fuzz_character(p, last - p);

        if (len == 0
            || (controls && (*p < ' ' || *p == 127)
                && (*p == '\0' || ngx_strchr(controls, *p) == NULL)))
        {
            clean.len += fuzz_encode(clean.data + clean.len, 0xfffd);
            p++;
            continue;
        }

        ngx_memcpy(clean.data + clean.len, p, len);

        clean.len += len;
        p += len;
    }

    return clean;
}


/* the length of one that is written as it has to be, or 0 */

static size_t
fuzz_character(u_char *p, size_t len)
{
    size_t    i, n;
    uint32_t  ch;
    u_char    buf[4];

    for (n = 1; n <= 4 && n <= len; n++) {

        ch = (n == 1) ? p[0] : (u_char) (p[0] << (n + 1)) >> (n + 1);

        for (i = 1; i < n; i++) {
            ch = ch * 64 + p[i] % 64;
        }

        if (ch > 0x10ffff || (ch > 0xd7ff && ch < 0xe000)) {
            continue;
        }

        if (fuzz_encode(buf, ch) == n && ngx_memcmp(buf, p, n) == 0) {
            return n;
        }
    }

    return 0;
}


static size_t
fuzz_encode(u_char *p, uint32_t ch)
{
    if (ch < 0x80) {
        p[0] = (u_char) ch;
        return 1;
    }

    if (ch < 0x800) {
        p[0] = (u_char) (0xc0 + ch / 64);
        p[1] = (u_char) (0x80 + ch % 64);
        return 2;
    }

    if (ch < 0x10000) {
        p[0] = (u_char) (0xe0 + ch / 4096);
        p[1] = (u_char) (0x80 + ch / 64 % 64);
        p[2] = (u_char) (0x80 + ch % 64);
        return 3;
    }

    p[0] = (u_char) (0xf0 + ch / 262144);
    p[1] = (u_char) (0x80 + ch / 4096 % 64);
    p[2] = (u_char) (0x80 + ch / 64 % 64);
    p[3] = (u_char) (0x80 + ch % 64);

    return 4;
}


/* the reader stops at a null character */

static void
fuzz_json_same(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *clean)
{
    u_char       *null;
    ngx_str_t     expected;
    fuzz_json_t   json;

    expected = *clean;

    null = ngx_strlchr(clean->data, clean->data + clean->len, '\0');

    if (null) {
        expected.len = null - clean->data;
    }

    fuzz_check(fuzz_json_read(pool, text, &json) == NGX_OK);
    fuzz_check(json.top.type == FUZZ_JSON_STRING);
    fuzz_check(fuzz_str_eq(&json.top.string, &expected));
}


/* "escapes" are pairs: what is written, and for what, which is not */

static void
fuzz_same(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *clean,
    const char **escapes)
{
    u_char       *p, *last;
    size_t        len;
    ngx_str_t     read;
    const char  **e;

    read.data = ngx_pnalloc(pool, text->len + 1);
    fuzz_check(read.data != NULL);

    read.len = 0;

    p = text->data;
    last = p + text->len;

    len = 0;

    while (p < last) {

        for (e = escapes; *e; e += 2) {
            len = ngx_strlen(e[0]);

            if ((size_t) (last - p) >= len && ngx_memcmp(p, e[0], len) == 0) {
                break;
            }
        }

        if (*e) {
            read.data[read.len++] = (u_char) e[1][0];
            p += len;
            continue;
        }

        for (e = escapes; *e; e += 2) {
            fuzz_check(*p != (u_char) e[1][0]);
        }

        read.data[read.len++] = *p++;
    }

    fuzz_check(fuzz_str_eq(&read, clean));
}
