
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * An answer of the token endpoint.  It must be understood alike however it is
 * cut into pieces, what is understood must be what a second reader, of few
 * lines and the whole answer at once, sees in it, and an answer by the book
 * must be understood.
 */


#include "fuzz.h"

#include "ngx_zertiban_response.h"
#include "ngx_zertiban_token.h"


#define FUZZ_WHOLE  0
#define FUZZ_BYTES  1
#define FUZZ_MIXED  2


typedef struct {
    ngx_int_t    rc;
    ngx_uint_t   status;
    time_t       retry_after;
    time_t       age, next;
    ngx_str_t    coding;
    ngx_str_t    body;
    char        *err;
} fuzz_outcome_t;


/* what the second reader knows */

typedef struct {
    ngx_str_t    left;                /* to be read */

    ngx_uint_t   minor;
    ngx_uint_t   status;
    time_t       retry_after;
    time_t       age, next;
    ngx_str_t    coding;
    off_t        length;
    u_char      *body;
    size_t       size;

    unsigned     chunked:1;
    unsigned     to_close:1;
    unsigned     lax:1;               /* nginx may refuse it */
} fuzz_reader_t;


static ngx_str_t fuzz_fill(ngx_pool_t *pool, ngx_str_t *input, size_t size);
static void fuzz_answer(ngx_pool_t *pool, ngx_str_t *input, size_t room,
    ngx_uint_t how, fuzz_outcome_t *outcome);
static void fuzz_token(ngx_zertiban_response_t *rp);
static ngx_int_t fuzz_read(fuzz_reader_t *rd);
static ngx_int_t fuzz_read_line(fuzz_reader_t *rd, ngx_str_t *line);
static ngx_int_t fuzz_read_status(fuzz_reader_t *rd);
static ngx_int_t fuzz_read_headers(fuzz_reader_t *rd);
static ngx_int_t fuzz_read_header(fuzz_reader_t *rd, ngx_str_t *name,
    ngx_str_t *value);
static void fuzz_read_coding(fuzz_reader_t *rd, ngx_str_t *value);
static ngx_int_t fuzz_read_body(fuzz_reader_t *rd);
static ngx_int_t fuzz_read_chunks(fuzz_reader_t *rd);
static ngx_int_t fuzz_read_chunk_size(fuzz_reader_t *rd, ngx_str_t *line,
    size_t *size);
static ngx_uint_t fuzz_is(ngx_str_t *s, const char *word);
static ngx_uint_t fuzz_has_ctl(ngx_str_t *s);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    size_t                    room, used;
    uint32_t                  seed;
    ngx_str_t                 filled;
    fuzz_reader_t             rd;
    fuzz_outcome_t            whole, bytes, mixed;
    ngx_zertiban_response_t  *rp;

    seed = fuzz_seed(input);

    if (fuzz_random(&seed, 64) == 0) {
        filled = fuzz_fill(pool, input, NGX_ZERTIBAN_RESPONSE_MAX + 1
                                        - fuzz_random(&seed, 4));
        input = &filled;
    }

    room = 1 + fuzz_random(&seed, 2 * input->len + 64);

    if (room > NGX_ZERTIBAN_RESPONSE_MAX || fuzz_random(&seed, 2)) {
        room = NGX_ZERTIBAN_RESPONSE_MAX;
    }

    fuzz_answer(pool, input, room, FUZZ_WHOLE, &whole);
    fuzz_answer(pool, input, room, FUZZ_BYTES, &bytes);
    fuzz_answer(pool, input, room, FUZZ_MIXED, &mixed);

    fuzz_check(whole.rc == bytes.rc && whole.rc == mixed.rc);
    fuzz_check(whole.err == bytes.err && whole.err == mixed.err);
    fuzz_check(whole.status == bytes.status && whole.status == mixed.status);
    fuzz_check(whole.retry_after == bytes.retry_after);
    fuzz_check(whole.retry_after == mixed.retry_after);
    fuzz_check(fuzz_str_eq(&whole.coding, &bytes.coding));
    fuzz_check(fuzz_str_eq(&whole.coding, &mixed.coding));
    fuzz_check(fuzz_str_eq(&whole.body, &bytes.body));
    fuzz_check(fuzz_str_eq(&whole.body, &mixed.body));

    ngx_memzero(&rd, sizeof(fuzz_reader_t));

    rd.left = *input;
    rd.body = ngx_palloc(pool, input->len);
    fuzz_check(rd.body != NULL);

    if (fuzz_read(&rd) == NGX_OK) {
        used = input->len - rd.left.len;

        if (used + rd.to_close <= room && !rd.lax) {
            fuzz_check(whole.rc == NGX_OK);
        }

    } else {
        fuzz_check(whole.rc == NGX_ERROR);
    }

    if (whole.rc == NGX_OK) {
        fuzz_check(whole.status == rd.status);
        fuzz_check(whole.retry_after == rd.retry_after);
        fuzz_check(whole.age == rd.age);
        fuzz_check(whole.next == rd.next);
        fuzz_check(!whole.coding.data == !rd.coding.data);
        fuzz_check(fuzz_str_eq(&whole.coding, &rd.coding));
        fuzz_check(whole.body.len == rd.size);
        fuzz_check(ngx_memcmp(whole.body.data, rd.body, rd.size) == 0);
    }

    fuzz_fail_after(fuzz_random(&seed, 8));

    rp = ngx_zertiban_response_create(pool, &fuzz_log);

    fuzz_check((rp == NULL) == fuzz_has_failed());
}


/* an interim answer before it, so that it ends where the memory does */

static ngx_str_t
fuzz_fill(ngx_pool_t *pool, ngx_str_t *input, size_t size)
{
    u_char     *p;
    size_t      n;
    ngx_str_t   filled;

    static ngx_str_t  first = ngx_string("HTTP/1.1 100 ");
    static ngx_str_t  last = ngx_string("\r\n\r\n");

    n = first.len + last.len + input->len;
    n = (size > n) ? size - n : 0;

    filled.len = first.len + n + last.len + input->len;
    filled.data = ngx_pnalloc(pool, filled.len);

    fuzz_check(filled.data != NULL);

    p = ngx_cpymem(filled.data, first.data, first.len);
    ngx_memset(p, 'x', n);
    p = ngx_cpymem(p + n, last.data, last.len);
    ngx_memcpy(p, input->data, input->len);

    return filled;
}


static void
fuzz_answer(ngx_pool_t *pool, ngx_str_t *input, size_t room, ngx_uint_t how,
    fuzz_outcome_t *outcome)
{
    size_t                    n, left;
    uint32_t                  seed;
    ngx_buf_t                *b;
    ngx_str_t                 body;
    ngx_zertiban_response_t  *rp;

    seed = fuzz_seed(input);

    rp = ngx_zertiban_response_create(pool, &fuzz_log);
    fuzz_check(rp != NULL);

    b = &rp->buf;

    if (room != NGX_ZERTIBAN_RESPONSE_MAX) {
        b->start = ngx_palloc(pool, room + 1);
        fuzz_check(b->start != NULL);

        b->pos = b->start;
        b->last = b->start;
        b->end = b->start + room;
    }

    left = input->len;

    for ( ;; ) {
        n = ngx_min(left, (size_t) (b->end - b->last));

        if (left && how == FUZZ_BYTES) {
            n = (left > 2048) ? ngx_min(n, left - 2048) : 1;

        } else if (left && how == FUZZ_MIXED) {
            n = 1 + fuzz_random(&seed, n);
        }

        b->last = ngx_cpymem(b->last, input->data + input->len - left, n);
        left -= n;

        outcome->rc = ngx_zertiban_response_parse(rp, n == 0);

        fuzz_check(b->pos >= b->start && b->pos <= b->last);
        fuzz_check(b->last <= b->end);

        if (outcome->rc != NGX_AGAIN) {
            break;
        }

        fuzz_check(n != 0);
        fuzz_check(b->last < b->end);
    }

    outcome->err = rp->err;
    outcome->status = rp->status.code;
    outcome->retry_after = rp->retry_after;
    outcome->age = rp->age;
    outcome->next = rp->next;

    ngx_str_null(&outcome->coding);
    ngx_str_null(&outcome->body);

    if (outcome->rc == NGX_ERROR) {
        fuzz_check(rp->err != NULL);
        return;
    }

    fuzz_check(outcome->rc == NGX_OK);
    fuzz_check(rp->err == NULL);
    fuzz_check(rp->status.code <= 999);
    fuzz_check(rp->retry_after >= -1);
    fuzz_check(rp->retry_after <= NGX_ZERTIBAN_DELAY_MAX);
    fuzz_check(rp->body >= b->start && rp->body <= rp->body_last);
    fuzz_check(rp->body_last <= b->last);

    body.len = rp->body_last - rp->body;
    body.data = rp->body;

    outcome->body = fuzz_copy(pool, &body);

    if (rp->coding.data) {
        outcome->coding = fuzz_copy(pool, &rp->coding);
    }

    fuzz_token(rp);
}


/* as the client does, in the memory of the answer */

static void
fuzz_token(ngx_zertiban_response_t *rp)
{
    ngx_zertiban_verdict_t  verdict;

    ngx_memzero(&verdict, sizeof(ngx_zertiban_verdict_t));

    ngx_zertiban_token_parse(rp->status.code, rp->body,
                             rp->body_last - rp->body, NULL, 0, &verdict);

    if (verdict.error == NGX_ZERTIBAN_OK) {
        fuzz_check(rp->status.code == 200 || rp->status.code == 201);
        fuzz_check(verdict.token.data >= rp->body);
        fuzz_check(verdict.token.data + verdict.token.len <= rp->body_last);
    }
}


/* NGX_OK if there is an answer, in which nginx sees the same or nothing */

static ngx_int_t
fuzz_read(fuzz_reader_t *rd)
{
    for ( ;; ) {
        rd->length = -1;
        rd->retry_after = -1;
        rd->age = -1;
        rd->next = -1;
        rd->chunked = 0;
        ngx_str_null(&rd->coding);

        if (fuzz_read_status(rd) != NGX_OK
            || fuzz_read_headers(rd) != NGX_OK
            || rd->status == 101)
        {
            return NGX_ERROR;
        }

        if (rd->status < 100 || rd->status > 199) {
            break;
        }
    }

    if (rd->chunked && (rd->length != -1 || rd->minor == 0)) {
        return NGX_ERROR;
    }

    if (rd->status == 204 || rd->status == 304) {
        return NGX_OK;
    }

    return fuzz_read_body(rd);
}


static ngx_int_t
fuzz_read_line(fuzz_reader_t *rd, ngx_str_t *line)
{
    size_t  len;

    len = rd->left.len;
    *line = fuzz_line(&rd->left);

    if (line->len == len) {
        return NGX_ERROR;
    }

    if (line->len == 0 || line->data[line->len - 1] != CR) {
        rd->lax = 1;
        return NGX_OK;
    }

    line->len--;

    while (line->len && line->data[line->len - 1] == CR) {
        rd->lax = 1;
        line->len--;
    }

    return NGX_OK;
}


static ngx_int_t
fuzz_read_status(fuzz_reader_t *rd)
{
    u_char      *p, *last;
    ngx_str_t    line;
    ngx_uint_t   digits;

    if (fuzz_read_line(rd, &line) != NGX_OK
        || line.len < sizeof("HTTP/1.1 200") - 1
        || ngx_strncmp(line.data, "HTTP/1.", 7) != 0)
    {
        return NGX_ERROR;
    }

    p = line.data + 7;
    last = line.data + line.len;

    while (p < last && *p == '0') {
        p++;
    }

    rd->minor = 0;

    if (p < last && *p == '1') {
        rd->minor = 1;
        p++;
    }

    if (p == last || *p != ' ') {
        return NGX_ERROR;
    }

    if (p != line.data + 8) {
        rd->lax = 1;
    }

    rd->status = 0;
    digits = 0;

    for (p++; p < last && digits < 3; p++) {

        if (*p == ' ') {
            rd->lax = 1;
            continue;
        }

        if (*p < '0' || *p > '9') {
            return NGX_ERROR;
        }

        rd->status = rd->status * 10 + (*p - '0');
        digits++;
    }

    if (digits < 3) {
        return NGX_ERROR;
    }

    if (p < last && *p != ' ' && *p != '.') {
        return NGX_ERROR;
    }

    if (fuzz_has_ctl(&line)) {
        rd->lax = 1;
    }

    return NGX_OK;
}


static ngx_int_t
fuzz_read_headers(fuzz_reader_t *rd)
{
    u_char     *p;
    ngx_str_t   line, name, value;

    for ( ;; ) {

        if (fuzz_read_line(rd, &line) != NGX_OK) {
            return NGX_ERROR;
        }

        if (line.len == 0) {
            return NGX_OK;
        }

        p = memchr(line.data, ':', line.len);

        if (p == NULL) {
            return NGX_ERROR;
        }

        if (fuzz_has_ctl(&line)) {
            rd->lax = 1;
        }

        name.len = p - line.data;
        name.data = line.data;

        value.data = p + 1;
        value.len = line.data + line.len - value.data;

        while (value.len && memchr(" \t", *value.data, 2)) {
            value.data++;
            value.len--;
        }

        while (value.len && memchr(" \t", value.data[value.len - 1], 2)) {
            value.len--;
        }

        if (fuzz_read_header(rd, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
fuzz_read_header(fuzz_reader_t *rd, ngx_str_t *name, ngx_str_t *value)
{
    off_t  n;

    if (name->len == 0 || memchr(name->data, ' ', name->len)
        || memchr(name->data, '\t', name->len))
    {
        rd->lax = 1;
    }

    if (fuzz_is(name, "content-length")) {

        n = fuzz_digits(value);

        if (n == -1) {
            return NGX_ERROR;
        }

        if (rd->length != -1 && rd->length != n) {
            return NGX_ERROR;
        }

        rd->length = n;
    }

    if (fuzz_is(name, "transfer-encoding")) {

        if (rd->chunked || !fuzz_is(value, "chunked")) {
            return NGX_ERROR;
        }

        rd->chunked = 1;
    }

    if (fuzz_is(name, "content-encoding")) {
        fuzz_read_coding(rd, value);
    }

    if (fuzz_is(name, "retry-after")) {
        rd->retry_after = ngx_zertiban_retry_after(value->data, value->len,
                                                   FUZZ_NOW);
    }

    if (fuzz_is(name, "zertiban-token-age")) {
        rd->age = ngx_min(fuzz_digits(value), NGX_ZERTIBAN_LIFETIME_MAX);
    }

    if (fuzz_is(name, "zertiban-token-next")) {
        rd->next = ngx_min(fuzz_digits(value), NGX_ZERTIBAN_LIFETIME_MAX);
    }

    return NGX_OK;
}


/* what the list has beside "identity" */

static void
fuzz_read_coding(fuzz_reader_t *rd, ngx_str_t *value)
{
    size_t     i, n;
    ngx_str_t  word;

    static const char  chars[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789!#$%&'*+-.^_`|~";

    for (i = 0; i < value->len && !rd->coding.data; i += n + (n == 0)) {

        for (n = 0; i + n < value->len; n++) {
            if (memchr(chars, value->data[i + n], sizeof(chars) - 1) == NULL) {
                break;
            }
        }

        word.data = value->data + i;
        word.len = n;

        if (n ? !fuzz_is(&word, "identity")
              : memchr(", \t", value->data[i], 3) == NULL)
        {
            rd->coding = word;
        }
    }
}


static ngx_int_t
fuzz_read_body(fuzz_reader_t *rd)
{
    if (rd->chunked) {
        return fuzz_read_chunks(rd);
    }

    rd->size = rd->left.len;

    if (rd->length == -1) {
        rd->to_close = 1;

    } else {

        if ((off_t) rd->left.len < rd->length) {
            return NGX_ERROR;
        }

        rd->size = rd->length;
    }

    ngx_memcpy(rd->body, rd->left.data, rd->size);

    rd->left.data += rd->size;
    rd->left.len -= rd->size;

    return NGX_OK;
}


static ngx_int_t
fuzz_read_chunks(fuzz_reader_t *rd)
{
    size_t     n;
    ngx_str_t  line;

    for ( ;; ) {

        if (fuzz_read_line(rd, &line) != NGX_OK
            || fuzz_read_chunk_size(rd, &line, &n) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        if (rd->left.len < n) {
            return NGX_ERROR;
        }

        ngx_memcpy(rd->body + rd->size, rd->left.data, n);

        rd->size += n;

        rd->left.data += n;
        rd->left.len -= n;

        if (fuzz_read_line(rd, &line) != NGX_OK || line.len) {
            return NGX_ERROR;
        }
    }

    do {
        if (fuzz_read_line(rd, &line) != NGX_OK) {
            return NGX_ERROR;
        }

        if (fuzz_has_ctl(&line)) {
            rd->lax = 1;
        }

    } while (line.len);

    return NGX_OK;
}


static ngx_int_t
fuzz_read_chunk_size(fuzz_reader_t *rd, ngx_str_t *line, size_t *size)
{
    u_char  ch;
    size_t  i;

    ch = 0;
    *size = 0;

    for (i = 0; i < line->len; i++) {
        ch = ngx_tolower(line->data[i]);

        if (ch >= '0' && ch <= '9') {
            *size = *size * 16 + (ch - '0');

        } else if (ch >= 'a' && ch <= 'f') {
            *size = *size * 16 + (ch - 'a' + 10);

        } else {
            break;
        }

        if (*size > 1000000) {
            return NGX_ERROR;
        }
    }

    if (i == 0) {
        return NGX_ERROR;
    }

    if (i < line->len && ch != ';' && ch != ' ' && ch != '\t') {
        return NGX_ERROR;
    }

    if (fuzz_has_ctl(line)) {
        rd->lax = 1;
    }

    return NGX_OK;
}


static ngx_uint_t
fuzz_is(ngx_str_t *s, const char *word)
{
    return s->len == ngx_strlen(word)
           && strncasecmp((char *) s->data, word, s->len) == 0;
}


static ngx_uint_t
fuzz_has_ctl(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if ((s->data[i] < 0x20 && s->data[i] != '\t')
            || s->data[i] == 0x7f)
        {
            return 1;
        }
    }

    return 0;
}
