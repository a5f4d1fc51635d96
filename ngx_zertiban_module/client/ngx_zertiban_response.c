
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The bytes of an answer, parsed with nginx's own HTTP parsers.
 */


#include "ngx_zertiban_response.h"
#include "ngx_zertiban_mark.h"
#include "ngx_zertiban_token.h"


static ngx_int_t ngx_zertiban_response_status(ngx_zertiban_response_t *rp);
static ngx_int_t ngx_zertiban_response_headers(ngx_zertiban_response_t *rp);
static ngx_int_t ngx_zertiban_response_header(ngx_zertiban_response_t *rp);
static time_t ngx_zertiban_response_seconds(ngx_str_t *value);
static void ngx_zertiban_response_forget(ngx_zertiban_response_t *rp);
static void ngx_zertiban_response_trim(ngx_str_t *value);
static ngx_int_t ngx_zertiban_response_content_length(
    ngx_zertiban_response_t *rp, ngx_str_t *value);
static void ngx_zertiban_response_content_encoding(
    ngx_zertiban_response_t *rp, ngx_str_t *value);
static ngx_uint_t ngx_zertiban_response_token_char(u_char ch);
static ngx_int_t ngx_zertiban_response_headers_done(
    ngx_zertiban_response_t *rp);
static ngx_int_t ngx_zertiban_response_body(ngx_zertiban_response_t *rp,
    ngx_uint_t eof);
static ngx_int_t ngx_zertiban_response_chunked(ngx_zertiban_response_t *rp);
static ngx_int_t ngx_zertiban_response_error(ngx_zertiban_response_t *rp,
    char *err);


enum {
    sw_status = 0,
    sw_headers,
    sw_body
};


ngx_zertiban_response_t *
ngx_zertiban_response_create(ngx_pool_t *pool, ngx_log_t *log)
{
    ngx_buf_t                *b;
    ngx_connection_t         *c;
    ngx_zertiban_response_t  *rp;

    rp = ngx_pcalloc(pool, sizeof(ngx_zertiban_response_t));
    if (rp == NULL) {
        return NULL;
    }

    /* the parsers keep their state in a request and log to its connection */

    rp->request = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    if (rp->request == NULL) {
        return NULL;
    }

    c = ngx_pcalloc(pool, sizeof(ngx_connection_t));
    if (c == NULL) {
        return NULL;
    }

    c->log = log;
    rp->request->connection = c;

    /*
     * the parsers point into the buffer, so it never moves;
     * a byte more is for the null that ends the body
     */

    b = &rp->buf;

    b->start = ngx_palloc(pool, NGX_ZERTIBAN_RESPONSE_MAX + 1);
    if (b->start == NULL) {
        return NULL;
    }

    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + NGX_ZERTIBAN_RESPONSE_MAX;
    b->temporary = 1;

    rp->content_length = -1;
    ngx_zertiban_response_forget(rp);

    return rp;
}


ngx_int_t
ngx_zertiban_response_parse(ngx_zertiban_response_t *rp, ngx_uint_t eof)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    while (rp->state != sw_body && rc == NGX_OK) {

        if (rp->state == sw_status) {
            rc = ngx_zertiban_response_status(rp);

        } else {
            rc = ngx_zertiban_response_headers(rp);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_zertiban_response_body(rp, eof);
    }

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (eof) {
        return ngx_zertiban_response_error(rp,
                                           "the answer was cut short");
    }

    if (rp->buf.last == rp->buf.end) {
        return ngx_zertiban_response_error(rp, "the answer is too big");
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_zertiban_response_status(ngx_zertiban_response_t *rp)
{
    ngx_int_t  rc;

    rc = ngx_http_parse_status_line(rp->request, &rp->buf, &rp->status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK
        || (rp->status.http_version != NGX_HTTP_VERSION_10
            && rp->status.http_version != NGX_HTTP_VERSION_11))
    {
        return ngx_zertiban_response_error(rp,
                                  "the answer has no HTTP/1.x status line");
    }

    rp->request->state = 0;
    rp->state = sw_headers;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_response_headers(ngx_zertiban_response_t *rp)
{
    ngx_int_t  rc;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(rp->request, &rp->buf, 1);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            return ngx_zertiban_response_headers_done(rp);
        }

        if (rc != NGX_OK) {
            return ngx_zertiban_response_error(rp,
                                           "the answer has an invalid header");
        }

        if (ngx_zertiban_response_header(rp) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_zertiban_response_header(ngx_zertiban_response_t *rp)
{
    ngx_str_t            name, value;
    ngx_http_request_t  *r;

    r = rp->request;

    if (r->header_start == r->header_name_end) {

        /* ngx_http_parse_header_line() lets a line without a colon pass */

        return ngx_zertiban_response_error(rp,
                                           "the answer has an invalid header");
    }

    name.data = r->header_name_start;
    name.len = r->header_name_end - r->header_name_start;

    value.data = r->header_start;
    value.len = r->header_end - r->header_start;

    ngx_zertiban_response_trim(&value);

#define ngx_zertiban_name_is(n)                                               \
    (name.len == sizeof(n) - 1                                                \
     && ngx_strncasecmp(name.data, (u_char *) (n), sizeof(n) - 1) == 0)

    if (ngx_zertiban_name_is("Content-Length")) {
        return ngx_zertiban_response_content_length(rp, &value);
    }

    if (ngx_zertiban_name_is("Transfer-Encoding")) {

        if (rp->chunked
            || value.len != sizeof("chunked") - 1
            || ngx_strncasecmp(value.data, (u_char *) "chunked", value.len)
               != 0)
        {
            return ngx_zertiban_response_error(rp,
                              "the answer has an unknown transfer encoding");
        }

        rp->chunked = 1;
        return NGX_OK;
    }

    if (ngx_zertiban_name_is("Content-Encoding")) {
        ngx_zertiban_response_content_encoding(rp, &value);
        return NGX_OK;
    }

    if (ngx_zertiban_name_is("Retry-After")) {
        rp->retry_after = ngx_zertiban_retry_after(value.data, value.len,
                                                   ngx_time());
        return NGX_OK;
    }

    if (ngx_zertiban_name_is("Date")) {

        /* RFC 9110, section 6.6.1; NGX_ERROR is -1 */

        rp->date = ngx_parse_http_time(value.data, value.len);
        return NGX_OK;
    }

    /* of "zertiban_share" */

    if (ngx_zertiban_name_is(NGX_ZERTIBAN_TOKEN_AGE)) {
        rp->age = ngx_zertiban_response_seconds(&value);
        return NGX_OK;
    }

    if (ngx_zertiban_name_is(NGX_ZERTIBAN_TOKEN_NEXT)) {
        rp->next = ngx_zertiban_response_seconds(&value);
    }

    return NGX_OK;
}


/* of a token's life, -1 if it is no number */

static time_t
ngx_zertiban_response_seconds(ngx_str_t *value)
{
    return ngx_min(ngx_atotm(value->data, value->len),
                   NGX_ZERTIBAN_LIFETIME_MAX);
}


/* numbers that a header may bring */

static void
ngx_zertiban_response_forget(ngx_zertiban_response_t *rp)
{
    rp->retry_after = -1;
    rp->date = -1;
    rp->age = -1;
    rp->next = -1;
}


/* RFC 9110, section 5.6.3; nginx's parser leaves the tabs */

static void
ngx_zertiban_response_trim(ngx_str_t *value)
{
    u_char  *p, *last;

    p = value->data;
    last = p + value->len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    value->data = p;
    value->len = last - p;
}


static ngx_int_t
ngx_zertiban_response_content_length(ngx_zertiban_response_t *rp,
    ngx_str_t *value)
{
    off_t  n;

    n = ngx_atoof(value->data, value->len);

    if (n == NGX_ERROR || (rp->content_length != -1
                           && rp->content_length != n))
    {
        return ngx_zertiban_response_error(rp,
                                 "the answer has an invalid Content-Length");
    }

    rp->content_length = n;

    return NGX_OK;
}


/* a list: the first one counts that changes the body */

static void
ngx_zertiban_response_content_encoding(ngx_zertiban_response_t *rp,
    ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t   coding;

    p = value->data;
    last = p + value->len;

    while (p < last && rp->coding.data == NULL) {

        if (*p == ',' || *p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        coding.data = p;

        while (p < last && ngx_zertiban_response_token_char(*p)) {
            p++;
        }

        coding.len = p - coding.data;

        if (coding.len != sizeof("identity") - 1
            || ngx_strncasecmp(coding.data, (u_char *) "identity", coding.len)
               != 0)
        {
            rp->coding = coding;
        }
    }
}


/* RFC 9110, section 5.6.2 */

static ngx_uint_t
ngx_zertiban_response_token_char(u_char ch)
{
    u_char  c;

    c = (u_char) (ch | 0x20);

    if ((ch >= '0' && ch <= '9') || (c >= 'a' && c <= 'z')) {
        return 1;
    }

    return ch != '\0' && ngx_strchr("!#$%&'*+-.^_`|~", ch) != NULL;
}


static ngx_int_t
ngx_zertiban_response_headers_done(ngx_zertiban_response_t *rp)
{
    ngx_uint_t  code;

    code = rp->status.code;

    if (code == NGX_HTTP_SWITCHING_PROTOCOLS) {
        return ngx_zertiban_response_error(rp,
                                         "the answer switches the protocol");
    }

    if (code >= 100 && code < 200) {

        /* interim, the final answer follows: RFC 9110, section 15.2 */

        ngx_memzero(&rp->status, sizeof(ngx_http_status_t));

        rp->request->state = 0;
        rp->state = sw_status;
        rp->content_length = -1;
        ngx_zertiban_response_forget(rp);
        rp->chunked = 0;
        ngx_str_null(&rp->coding);

        return NGX_OK;
    }

    if (rp->chunked
        && (rp->content_length != -1
            || rp->status.http_version == NGX_HTTP_VERSION_10))
    {
        /* RFC 9112, section 6.1: an attempt to smuggle, or a broken proxy */

        return ngx_zertiban_response_error(rp,
                                          "the answer has ambiguous framing");
    }

    if (code == NGX_HTTP_NO_CONTENT || code == NGX_HTTP_NOT_MODIFIED) {
        rp->chunked = 0;
        rp->content_length = 0;
    }

    rp->body = rp->buf.pos;
    rp->body_last = rp->buf.pos;
    rp->state = sw_body;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_response_body(ngx_zertiban_response_t *rp, ngx_uint_t eof)
{
    ngx_buf_t  *b;

    if (rp->chunked) {
        return ngx_zertiban_response_chunked(rp);
    }

    b = &rp->buf;

    if (rp->content_length == -1) {
        rp->body_last = b->last;
        return eof ? NGX_OK : NGX_AGAIN;
    }

    if (rp->content_length > b->end - rp->body) {
        return ngx_zertiban_response_error(rp, "the answer is too big");
    }

    if (b->last - rp->body < rp->content_length) {
        return NGX_AGAIN;
    }

    rp->body_last = rp->body + rp->content_length;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_response_chunked(ngx_zertiban_response_t *rp)
{
    off_t       size;
    ngx_int_t   rc;
    ngx_buf_t  *b;

    b = &rp->buf;

    for ( ;; ) {

        rc = ngx_zertiban_parse_chunked(rp->request, b, &rp->chunked_ctx);

        if (rc == NGX_OK) {

            /* a chunk of data, or the part of it that has come */

            size = ngx_min((off_t) (b->last - b->pos), rp->chunked_ctx.size);

            rp->body_last = ngx_movemem(rp->body_last, b->pos, (size_t) size);

            b->pos += size;
            rp->chunked_ctx.size -= size;

            continue;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        return ngx_zertiban_response_error(rp,
                                           "the answer has an invalid chunk");
    }
}


static ngx_int_t
ngx_zertiban_response_error(ngx_zertiban_response_t *rp, char *err)
{
    rp->err = err;

    return NGX_ERROR;
}


time_t
ngx_zertiban_retry_after(u_char *value, size_t len, time_t now)
{
    time_t  t;
    size_t  i;

    for (i = 0; i < len && value[i] >= '0' && value[i] <= '9'; i++) {
        /* void */
    }

    if (len == 0) {
        return -1;
    }

    if (i == len) {
        t = ngx_atotm(value, len);

        /* digits only: an error is an overflow */

        if (t == NGX_ERROR) {
            return NGX_ZERTIBAN_DELAY_MAX;
        }

    } else {
        t = ngx_parse_http_time(value, len);

        if (t == NGX_ERROR) {
            return -1;
        }

        t = ngx_max(t - now, 0);
    }

    return ngx_min(t, NGX_ZERTIBAN_DELAY_MAX);
}
