
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What all answers of a location that tells of the tokens have in common.
 */


#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_frame.h"


/* by the format */

static ngx_str_t  ngx_zertiban_answer_types[] = {
    ngx_null_string,
    ngx_string("application/json"),
    ngx_string("text/plain; version=0.0.4; charset=utf-8"),
    ngx_string("text/html; charset=utf-8"),
    ngx_string("text/plain")
};


static ngx_str_t  ngx_zertiban_answer_no_store = ngx_string("no-store");
static ngx_str_t  ngx_zertiban_answer_nosniff = ngx_string("nosniff");


ngx_int_t
ngx_zertiban_answer(ngx_http_request_t *r, ngx_zertiban_status_e format,
    ngx_zertiban_out_t *out)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;
    ngx_str_t  *type;

    if (out->failed || out->last == NULL
        || ngx_zertiban_answer_header(r, "Cache-Control",
                                      &ngx_zertiban_answer_no_store) != NGX_OK
        || ngx_zertiban_answer_header(r, "X-Content-Type-Options",
                                      &ngx_zertiban_answer_nosniff) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (format == NGX_ZERTIBAN_STATUS_HTML
        && ngx_zertiban_answer_header(r, "Content-Security-Policy",
                                      &ngx_zertiban_frame_policy) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    type = &ngx_zertiban_answer_types[format];

    /* without its parameters "gzip_types" knows it */

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = strcspn((char *) type->data, ";");
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = out->size;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = out->last->buf;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return ngx_http_output_filter(r, out->chain);
}


ngx_int_t
ngx_zertiban_answer_header(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_zertiban_answer_method(ngx_http_request_t *r, ngx_str_t *methods)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_zertiban_answer_header(r, "Allow", methods) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_NOT_ALLOWED;
}


/* as in ngx_http_limit_req_handler() */

ngx_int_t
ngx_zertiban_answer_watch(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    if (r == r->main && !r->post_action && !r->discard_body) {
        rev = r->connection->read;

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);

        } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}
