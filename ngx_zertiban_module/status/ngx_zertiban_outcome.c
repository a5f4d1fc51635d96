
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What a request is told that has a credential tried.
 */


#include "ngx_zertiban_outcome.h"
#include "ngx_zertiban_advice.h"
#include "ngx_zertiban_answer.h"
#include "ngx_zertiban_frame.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_names.h"
#include "ngx_zertiban_row.h"


/* what both formats tell; -1: there is none */

typedef struct {
    u_char                *key;
    ngx_zertiban_error_e   error;
    ngx_str_t              reason;              /* may be empty */
    ngx_int_t              status;              /* of the endpoint's answer */
    ngx_int_t              age;                 /* s, of the token */
    ngx_int_t              expires_in;          /* s, it may be used */
    ngx_int_t              next_in;             /* s, to the next exchange */
    ngx_uint_t             used;                /* from 1 on, or 0 */
    ngx_uint_t             count;               /* of pairs */
} ngx_zertiban_facts_t;


static void ngx_zertiban_outcome_facts(ngx_zertiban_facts_t *facts,
    ngx_zertiban_tried_t *tried, ngx_zertiban_survey_t *survey);
static void ngx_zertiban_outcome_token(ngx_zertiban_facts_t *facts,
    ngx_zertiban_survey_t *survey);
static ngx_int_t ngx_zertiban_outcome_seconds(ngx_msec_t moment);
static ngx_uint_t ngx_zertiban_outcome_status(ngx_zertiban_tried_t *tried);
static void ngx_zertiban_outcome_log(ngx_http_request_t *r,
    ngx_zertiban_facts_t *facts);
static void ngx_zertiban_outcome_json(ngx_zertiban_out_t *out,
    ngx_zertiban_facts_t *facts);
static void ngx_zertiban_outcome_json_number(ngx_zertiban_out_t *out,
    const char *name, ngx_int_t n);
static void ngx_zertiban_outcome_html(ngx_zertiban_out_t *out,
    ngx_zertiban_facts_t *facts, ngx_zertiban_entry_t *e);
static void ngx_zertiban_outcome_html_advice(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e);
static void ngx_zertiban_outcome_html_time(ngx_zertiban_out_t *out,
    const char *name, ngx_int_t s);
static void ngx_zertiban_outcome_page(ngx_zertiban_out_t *out,
    ngx_str_t *title, const char *class, ngx_str_t *reason);
static void ngx_zertiban_outcome_tail(ngx_zertiban_out_t *out);
static ngx_zertiban_status_e ngx_zertiban_outcome_format(
    ngx_http_request_t *r);


ngx_int_t
ngx_zertiban_outcome(ngx_http_request_t *r, ngx_zertiban_tried_t *tried)
{
    ngx_msec_t                  next;
    ngx_zertiban_out_t          out;
    ngx_zertiban_facts_t        facts;
    ngx_zertiban_entry_t        e;
    ngx_zertiban_status_e       format;
    ngx_zertiban_survey_t       survey;
    ngx_zertiban_credential_t  *credential;

    credential = tried->credential;

    (void) ngx_zertiban_survey(ngx_zertiban_credential_zone(credential),
                               credential->key, &survey);

    ngx_zertiban_outcome_facts(&facts, tried, &survey);
    ngx_zertiban_outcome_log(r, &facts);

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    format = ngx_zertiban_outcome_format(r);

    if (format == NGX_ZERTIBAN_STATUS_HTML) {
        ngx_memzero(&e, sizeof(ngx_zertiban_entry_t));
        e.survey = survey;

        ngx_zertiban_entry_name(&e, credential);
        ngx_zertiban_outcome_html(&out, &facts, &e);

    } else {
        ngx_zertiban_outcome_json(&out, &facts);
    }

    r->headers_out.status = ngx_zertiban_outcome_status(tried);

    next = (facts.next_in > 0) ? (ngx_msec_t) facts.next_in * 1000 : 0;

    if (r->headers_out.status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_zertiban_gate_retry_after(r, next) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_zertiban_answer(r, format, &out);
}


static void
ngx_zertiban_outcome_facts(ngx_zertiban_facts_t *facts,
    ngx_zertiban_tried_t *tried, ngx_zertiban_survey_t *survey)
{
    ngx_memzero(facts, sizeof(ngx_zertiban_facts_t));

    facts->key = survey->key;
    facts->error = tried->error;
    facts->status = -1;
    facts->next_in = -1;

    if (tried->reason) {
        facts->reason.data = (u_char *) tried->reason;
        facts->reason.len = ngx_strlen(tried->reason);

    } else if (tried->error && survey->trouble.time) {
        facts->reason.data = survey->trouble.text;
        facts->reason.len = survey->trouble.len;

        if (survey->trouble.status) {
            facts->status = (ngx_int_t) survey->trouble.status;
        }
    }

    if (tried->delay) {
        facts->next_in = (ngx_int_t) (tried->delay + 999) / 1000;

    } else if (survey->planned) {
        facts->next_in = ngx_zertiban_outcome_seconds(survey->next);
    }

    ngx_zertiban_outcome_token(facts, survey);
}


static void
ngx_zertiban_outcome_token(ngx_zertiban_facts_t *facts,
    ngx_zertiban_survey_t *survey)
{
    ngx_uint_t  i;

    facts->age = -1;
    facts->expires_in = -1;
    facts->count = survey->tries.n;

    if (!survey->token) {
        return;
    }

    facts->age = (ngx_int_t) (ngx_current_msec - survey->obtained) / 1000;
    facts->expires_in = ngx_zertiban_outcome_seconds(survey->usable);

    for (i = 0; i < survey->tries.n; i++) {
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
ngx_zertiban_outcome_status(ngx_zertiban_tried_t *tried)
{
    if (tried->error == NGX_ZERTIBAN_OK) {
        return NGX_HTTP_OK;
    }

    return tried->delay ? NGX_HTTP_SERVICE_UNAVAILABLE
                         : ngx_zertiban_error_status(tried->error);
}


static void
ngx_zertiban_outcome_log(ngx_http_request_t *r, ngx_zertiban_facts_t *facts)
{
    u_char  fingerprint[2 * NGX_ZERTIBAN_FINGERPRINT_LEN];

    (void) ngx_hex_dump(fingerprint, NGX_ZERTIBAN_FINGERPRINT(facts->key),
                        NGX_ZERTIBAN_FINGERPRINT_LEN);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "credential %*s tried, as asked for by \"POST\": %V",
                  sizeof(fingerprint), fingerprint,
                  ngx_zertiban_outcome_name(facts->error));
}


static void
ngx_zertiban_outcome_json(ngx_zertiban_out_t *out, ngx_zertiban_facts_t *facts)
{
    ngx_zertiban_out_text(out, "{\"credential\": \"");
    ngx_zertiban_out_fingerprint(out, facts->key);
    ngx_zertiban_out(out, "\", \"outcome\": \"%V\", \"reason\": ",
                     ngx_zertiban_outcome_name(facts->error));

    if (facts->reason.len) {
        ngx_zertiban_out_json(out, &facts->reason);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_outcome_json_number(out, "status", facts->status);
    ngx_zertiban_outcome_json_number(out, "age", facts->age);
    ngx_zertiban_outcome_json_number(out, "expires_in", facts->expires_in);
    ngx_zertiban_outcome_json_number(out, "next_in", facts->next_in);

    if (facts->count == 0) {
        ngx_zertiban_out_text(out, ", \"pair\": null}\n");

    } else if (facts->used == 0) {
        ngx_zertiban_out(out, ", \"pair\": {\"used\": null, \"count\": %ui}}\n",
                         facts->count);

    } else {
        ngx_zertiban_out(out, ", \"pair\": {\"used\": %ui, \"count\": %ui}}\n",
                         facts->used, facts->count);
    }
}


static void
ngx_zertiban_outcome_json_number(ngx_zertiban_out_t *out, const char *name,
    ngx_int_t n)
{
    if (n < 0) {
        ngx_zertiban_out(out, ", \"%s\": null", name);

    } else {
        ngx_zertiban_out(out, ", \"%s\": %i", name, n);
    }
}


static void
ngx_zertiban_outcome_html(ngx_zertiban_out_t *out, ngx_zertiban_facts_t *facts,
    ngx_zertiban_entry_t *e)
{
    ngx_str_t  title;
    u_char     buf[64];

    if (facts->error == NGX_ZERTIBAN_OK) {
        ngx_str_set(&title, "the credential works");

    } else {
        title.data = buf;
        title.len = ngx_snprintf(buf, sizeof(buf), "no new token: %V",
                                 ngx_zertiban_outcome_name(facts->error))
                    - buf;
    }

    ngx_zertiban_outcome_page(out, &title, facts->error ? "bad" : "good",
                              &facts->reason);

    if (facts->error) {
        ngx_zertiban_outcome_html_advice(out, e);
    }

    if (facts->error && facts->expires_in > 0) {
        ngx_zertiban_out_text(out, "<p>Requests go on with the token that is "
                                   "there.</p>\n");
    }

    ngx_zertiban_out_text(out, "<dl>\n<dt>credential</dt><dd>");
    ngx_zertiban_row_name(out, e);
    ngx_zertiban_out_text(out, " <code>");
    ngx_zertiban_out_fingerprint(out, facts->key);
    ngx_zertiban_out_text(out, "</code></dd>\n");

    if (facts->used) {
        ngx_zertiban_out(out, "<dt>pair in use</dt><dd>%ui of %ui</dd>\n",
                         facts->used, facts->count);
    }

    ngx_zertiban_outcome_html_time(out, "age of the token", facts->age);
    ngx_zertiban_outcome_html_time(out, "token ends in", facts->expires_in);
    ngx_zertiban_outcome_html_time(out, "next attempt in", facts->next_in);

    ngx_zertiban_out_text(out, "</dl>\n");

    ngx_zertiban_outcome_tail(out);
}


/* what the status says of it, if that is of an exchange */

static void
ngx_zertiban_outcome_html_advice(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e)
{
    ngx_zertiban_advice_e  kind;

    kind = ngx_zertiban_advice(e);

    if (kind == NGX_ZERTIBAN_ADVICE_NONE
        || kind == NGX_ZERTIBAN_ADVICE_STARTS)
    {
        return;
    }

    ngx_zertiban_out_text(out, "<ul class=\"todo\">\n<li><b>");
    ngx_zertiban_out_data(out, ngx_zertiban_advices[kind].what.data,
                          ngx_zertiban_advices[kind].what.len);
    ngx_zertiban_out_text(out, "</b>\n<p>");
    ngx_zertiban_out_data(out, ngx_zertiban_advices[kind].todo.data,
                          ngx_zertiban_advices[kind].todo.len);
    ngx_zertiban_out_text(out, "</p></li>\n</ul>\n");
}


static void
ngx_zertiban_outcome_html_time(ngx_zertiban_out_t *out, const char *name,
    ngx_int_t s)
{
    if (s < 0) {
        return;
    }

    ngx_zertiban_out(out, "<dt>%s</dt><dd>", name);
    ngx_zertiban_frame_span(out, (ngx_msec_t) s * 1000);
    ngx_zertiban_out_text(out, "</dd>\n");
}


static void
ngx_zertiban_outcome_page(ngx_zertiban_out_t *out, ngx_str_t *title,
    const char *class, ngx_str_t *reason)
{
    ngx_zertiban_frame_head(out, title, 0);

    ngx_zertiban_out(out, "<h1 class=\"%s\">", class);
    ngx_zertiban_out_html(out, title);
    ngx_zertiban_out_text(out, "</h1>\n");

    if (reason->len) {
        ngx_zertiban_out_text(out, "<p><bdi>");
        ngx_zertiban_out_html(out, reason);
        ngx_zertiban_out_text(out, "</bdi></p>\n");
    }
}


/* the link leads to where the form was, without sending it again */

static void
ngx_zertiban_outcome_tail(ngx_zertiban_out_t *out)
{
    ngx_zertiban_out_text(out, "<p><a href=\"\">back to the status</a></p>\n");
    ngx_zertiban_frame_tail(out);
}


ngx_int_t
ngx_zertiban_outcome_refused(ngx_http_request_t *r, ngx_uint_t status,
    char *text)
{
    ngx_str_t              why;
    ngx_zertiban_out_t     out;
    ngx_zertiban_status_e  format;

    static ngx_str_t  title = ngx_string("nothing was tried");

    ngx_memzero(&out, sizeof(ngx_zertiban_out_t));
    out.pool = r->pool;

    why.len = sizeof("the request ") - 1 + ngx_strlen(text);
    why.data = ngx_pnalloc(r->pool, why.len);

    if (why.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(why.data, "the request %s", text);

    format = ngx_zertiban_outcome_format(r);

    if (format == NGX_ZERTIBAN_STATUS_HTML) {
        ngx_zertiban_outcome_page(&out, &title, "bad", &why);
        ngx_zertiban_outcome_tail(&out);

    } else {
        ngx_zertiban_out_text(&out, "{\"error\": ");
        ngx_zertiban_out_json(&out, &why);
        ngx_zertiban_out_text(&out, "}\n");
    }

    r->headers_out.status = status;

    return ngx_zertiban_answer(r, format, &out);
}


/* scripts may ask the locations of other formats as well */

static ngx_zertiban_status_e
ngx_zertiban_outcome_format(ngx_http_request_t *r)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    return (zlcf->status == NGX_ZERTIBAN_STATUS_HTML)
           ? NGX_ZERTIBAN_STATUS_HTML : NGX_ZERTIBAN_STATUS_JSON;
}
