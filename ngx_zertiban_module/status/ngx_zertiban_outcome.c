
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What a request is told that has a credential tried.
 */


#include "ngx_zertiban_outcome.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_out.h"
#include "ngx_zertiban_survey.h"


/* what both formats tell; -1: there is none */

typedef struct {
    u_char           fingerprint[2 * NGX_ZERTIBAN_FINGERPRINT_LEN];
    ngx_str_t        outcome;
    ngx_str_t        reason;                    /* may be empty */
    ngx_int_t        status;                    /* of the endpoint's answer */
    ngx_int_t        age;                       /* s, of the token */
    ngx_int_t        expires_in;                /* s, it may be used */
    ngx_int_t        next_in;                   /* s, to the next exchange */
    ngx_uint_t       used;                      /* from 1 on, or 0 */
    ngx_uint_t       count;                     /* of pairs */
    unsigned         ok:1;
} ngx_zertiban_facts_t;


static void ngx_zertiban_outcome_facts(ngx_zertiban_facts_t *facts,
    ngx_zertiban_outcome_answer_t *answer, ngx_zertiban_survey_t *survey);
static ngx_int_t ngx_zertiban_outcome_seconds(ngx_msec_t moment);
static ngx_uint_t ngx_zertiban_outcome_status(
    ngx_zertiban_outcome_answer_t *answer);
static void ngx_zertiban_outcome_json(ngx_zertiban_out_t *out,
    ngx_zertiban_facts_t *facts);
static void ngx_zertiban_outcome_json_number(ngx_zertiban_out_t *out,
    const char *name, ngx_int_t n);
static void ngx_zertiban_outcome_html(ngx_zertiban_out_t *out,
    ngx_zertiban_facts_t *facts);
static void ngx_zertiban_outcome_html_number(ngx_zertiban_out_t *out,
    const char *name, ngx_int_t n);
static void ngx_zertiban_outcome_page(ngx_zertiban_out_t *out,
    ngx_str_t *title);
static ngx_uint_t ngx_zertiban_outcome_is_html(ngx_http_request_t *r);
static ngx_int_t ngx_zertiban_outcome_header(ngx_http_request_t *r, char *key,
    ngx_str_t *value);
static ngx_int_t ngx_zertiban_outcome_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_zertiban_out_t *out);


ngx_int_t
ngx_zertiban_outcome(ngx_http_request_t *r,
    ngx_zertiban_outcome_answer_t *answer)
{
    ngx_str_t                   after;
    ngx_uint_t                  status;
    ngx_zertiban_out_t          out;
    ngx_zertiban_facts_t        facts;
    ngx_zertiban_survey_t       survey;
    ngx_zertiban_credential_t  *credential;
    u_char                      buf[NGX_INT_T_LEN];

    credential = answer->credential;

    (void) ngx_zertiban_survey(ngx_zertiban_credential_zone(credential),
                               credential->key, &survey);

    ngx_zertiban_outcome_facts(&facts, answer, &survey);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "credential %*s tried, as asked for by \"POST\": %V",
                  sizeof(facts.fingerprint), facts.fingerprint,
                  &facts.outcome);

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    if (ngx_zertiban_outcome_is_html(r)) {
        ngx_zertiban_outcome_html(&out, &facts);

    } else {
        ngx_zertiban_outcome_json(&out, &facts);
    }

    status = ngx_zertiban_outcome_status(answer);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        after.data = buf;
        after.len = ngx_sprintf(buf, "%i", ngx_max(facts.next_in, 1)) - buf;

        if (ngx_zertiban_outcome_header(r, "Retry-After", &after) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_zertiban_outcome_send(r, status, &out);
}


static void
ngx_zertiban_outcome_facts(ngx_zertiban_facts_t *facts,
    ngx_zertiban_outcome_answer_t *answer, ngx_zertiban_survey_t *survey)
{
    ngx_uint_t  i;

    ngx_memzero(facts, sizeof(ngx_zertiban_facts_t));

    (void) ngx_hex_dump(facts->fingerprint,
                        NGX_ZERTIBAN_FINGERPRINT(survey->key),
                        NGX_ZERTIBAN_FINGERPRINT_LEN);

    facts->status = -1;
    facts->age = -1;
    facts->expires_in = -1;
    facts->next_in = -1;

    if (answer->error == NGX_ZERTIBAN_OK) {
        ngx_str_set(&facts->outcome, "ok");
        facts->ok = 1;

    } else {
        facts->outcome = *ngx_zertiban_error_name(answer->error);
    }

    if (answer->reason) {
        facts->reason.data = (u_char *) answer->reason;
        facts->reason.len = ngx_strlen(answer->reason);

    } else if (answer->error && survey->trouble.time) {
        facts->reason.data = survey->trouble.text;
        facts->reason.len = survey->trouble.len;

        if (survey->trouble.status) {
            facts->status = survey->trouble.status;
        }
    }

    if (survey->token) {
        facts->age = (ngx_current_msec - survey->obtained) / 1000;
        facts->expires_in = ngx_zertiban_outcome_seconds(survey->usable);
    }

    if (answer->delay) {
        facts->next_in = (answer->delay + 999) / 1000;

    } else if (survey->planned) {
        facts->next_in = ngx_zertiban_outcome_seconds(survey->next);
    }

    facts->count = survey->tries.n;

    for (i = 0; survey->token && i < survey->tries.n; i++) {
        if (survey->tries.pairs[i].tag == survey->tries.used) {
            facts->used = i + 1;
        }
    }
}


static ngx_int_t
ngx_zertiban_outcome_seconds(ngx_msec_t moment)
{
    return ngx_zertiban_before(ngx_current_msec, moment)
           ? (ngx_int_t) (moment - ngx_current_msec + 999) / 1000 : 0;
}


/* as the gate answers, but that what was not tried is not available */

static ngx_uint_t
ngx_zertiban_outcome_status(ngx_zertiban_outcome_answer_t *answer)
{
    if (answer->error == NGX_ZERTIBAN_OK) {
        return NGX_HTTP_OK;
    }

    return answer->delay ? NGX_HTTP_SERVICE_UNAVAILABLE
                         : ngx_zertiban_error_status(answer->error);
}


static void
ngx_zertiban_outcome_json(ngx_zertiban_out_t *out, ngx_zertiban_facts_t *facts)
{
    ngx_zertiban_out(out, "{\"credential\":\"%*s\",\"outcome\":\"%V\"",
                     sizeof(facts->fingerprint), facts->fingerprint,
                     &facts->outcome);

    ngx_zertiban_out_text(out, ",\"reason\":");

    if (facts->reason.len) {
        ngx_zertiban_out_json(out, &facts->reason);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_outcome_json_number(out, "status", facts->status);
    ngx_zertiban_outcome_json_number(out, "age", facts->age);
    ngx_zertiban_outcome_json_number(out, "expires_in", facts->expires_in);
    ngx_zertiban_outcome_json_number(out, "next_in", facts->next_in);

    ngx_zertiban_out_text(out, ",\"pair\":");

    if (facts->count) {
        ngx_zertiban_out_text(out, "{\"used\":");

        if (facts->used) {
            ngx_zertiban_out(out, "%ui", facts->used);

        } else {
            ngx_zertiban_out_text(out, "null");
        }

        ngx_zertiban_out(out, ",\"count\":%ui}", facts->count);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, "}\n");
}


static void
ngx_zertiban_outcome_json_number(ngx_zertiban_out_t *out, const char *name,
    ngx_int_t n)
{
    if (n < 0) {
        ngx_zertiban_out(out, ",\"%s\":null", name);

    } else {
        ngx_zertiban_out(out, ",\"%s\":%i", name, n);
    }
}


static void
ngx_zertiban_outcome_html(ngx_zertiban_out_t *out, ngx_zertiban_facts_t *facts)
{
    ngx_str_t  title;
    u_char     buf[64];

    if (facts->ok) {
        ngx_str_set(&title, "The credential works");

    } else {
        title.data = buf;
        title.len = ngx_snprintf(buf, sizeof(buf), "No new token: %V",
                                 &facts->outcome)
                    - buf;
    }

    ngx_zertiban_outcome_page(out, &title);

    if (facts->reason.len) {
        ngx_zertiban_out_text(out, "<p>");
        ngx_zertiban_out_html(out, &facts->reason);
        ngx_zertiban_out_text(out, "</p>\n");
    }

    ngx_zertiban_out(out, "<dl>\n<dt>credential</dt><dd>%*s</dd>\n",
                     sizeof(facts->fingerprint), facts->fingerprint);

    ngx_zertiban_outcome_html_number(out, "status of the answer",
                                     facts->status);
    ngx_zertiban_outcome_html_number(out, "age of the token, s", facts->age);
    ngx_zertiban_outcome_html_number(out, "it may be used for, s",
                                     facts->expires_in);
    ngx_zertiban_outcome_html_number(out, "next exchange in, s",
                                     facts->next_in);

    if (facts->used) {
        ngx_zertiban_out(out, "<dt>pair in use</dt><dd>%ui of %ui</dd>\n",
                         facts->used, facts->count);
    }

    ngx_zertiban_out_text(out, "</dl>\n<p><a href=\"\">Status</a></p>\n"
                               "</body>\n</html>\n");
}


static void
ngx_zertiban_outcome_html_number(ngx_zertiban_out_t *out, const char *name,
    ngx_int_t n)
{
    if (n >= 0) {
        ngx_zertiban_out(out, "<dt>%s</dt><dd>%i</dd>\n", name, n);
    }
}


static void
ngx_zertiban_outcome_page(ngx_zertiban_out_t *out, ngx_str_t *title)
{
    ngx_zertiban_out_text(out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
        "<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    ngx_zertiban_out_html(out, title);
    ngx_zertiban_out_text(out, "</title>\n</head>\n<body>\n<h1>");
    ngx_zertiban_out_html(out, title);
    ngx_zertiban_out_text(out, "</h1>\n");
}


ngx_int_t
ngx_zertiban_outcome_refused(ngx_http_request_t *r, ngx_uint_t status,
    char *text)
{
    ngx_str_t           why;
    ngx_zertiban_out_t  out;

    static ngx_str_t  title = ngx_string("Nothing was tried");

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    why.len = sizeof("the request ") - 1 + ngx_strlen(text);
    why.data = ngx_pnalloc(r->pool, why.len);

    if (why.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(why.data, "the request %s", text);

    if (ngx_zertiban_outcome_is_html(r)) {
        ngx_zertiban_outcome_page(&out, &title);
        ngx_zertiban_out_text(&out, "<p>");
        ngx_zertiban_out_html(&out, &why);
        ngx_zertiban_out_text(&out, "</p>\n<p><a href=\"\">Status</a></p>\n"
                                    "</body>\n</html>\n");

    } else {
        ngx_zertiban_out_text(&out, "{\"error\":");
        ngx_zertiban_out_json(&out, &why);
        ngx_zertiban_out_text(&out, "}\n");
    }

    return ngx_zertiban_outcome_send(r, status, &out);
}


static ngx_uint_t
ngx_zertiban_outcome_is_html(ngx_http_request_t *r)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    return zlcf->status == NGX_ZERTIBAN_STATUS_HTML;
}


static ngx_int_t
ngx_zertiban_outcome_header(ngx_http_request_t *r, char *key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) key;
    h->key.len = ngx_strlen(key);

    h->value.len = value->len;
    h->value.data = ngx_pstrdup(r->pool, value);

    return h->value.data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_zertiban_outcome_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_zertiban_out_t *out)
{
    ngx_int_t  rc;

    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  html = ngx_string("text/html; charset=utf-8");
    static ngx_str_t  no_store = ngx_string("no-store");

    if (out->failed
        || ngx_zertiban_outcome_header(r, "Cache-Control", &no_store)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = out->size;
    r->headers_out.content_type = ngx_zertiban_outcome_is_html(r) ? html
                                                                  : json;
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    out->last->buf->last_buf = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out->chain);
}
