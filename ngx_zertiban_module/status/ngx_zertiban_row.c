
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A credential in the page.
 */


#include "ngx_zertiban_row.h"
#include "ngx_zertiban_frame.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_names.h"


static void ngx_zertiban_row_refused(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e);
static void ngx_zertiban_row_host(ngx_zertiban_out_t *out, ngx_str_t *url);
static void ngx_zertiban_row_state(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e);
static void ngx_zertiban_row_token(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_row_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_row_failure(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_row_form(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e);


void
ngx_zertiban_row(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e, ngx_uint_t form)
{
    ngx_zertiban_out_text(out, "<tr><th scope=\"row\">");
    ngx_zertiban_row_name(out, e);

    if (e->credential && e->credential->pairs
        && e->credential->pairs->list.tags.n > 1 && e->pair)
    {
        ngx_zertiban_out(out, " <small>pair %ui of %ui</small>", e->pair,
                         e->credential->pairs->list.tags.n);
    }

    ngx_zertiban_out_text(out, "<br><small>");

    if (e->client.data) {
        ngx_zertiban_out_text(out, "<code>");
        ngx_zertiban_out_fingerprint(out, e->survey.key);
        ngx_zertiban_out_text(out, "</code> ");
        ngx_zertiban_row_host(out, &e->endpoint);

    } else {
        ngx_zertiban_out_text(out, "not used by this worker process");
    }

    if (e->scope.len) {
        ngx_zertiban_out_text(out, "<br>scope <bdi>");
        ngx_zertiban_out_html(out, &e->scope);
        ngx_zertiban_out_text(out, "</bdi>");
    }

    if (e->file) {
        ngx_zertiban_out_text(out, "<br><bdi>");
        ngx_zertiban_out_html(out, &e->client);
        ngx_zertiban_out_text(out, "</bdi>");
    }

    if (e->expires) {
        ngx_zertiban_out_text(out, "<br>until ");
        ngx_zertiban_out_date(out, e->expires);
    }

    if (e->credential && e->fallback) {
        ngx_zertiban_row_refused(out, e);
    }

    ngx_zertiban_out_text(out, "</small></th>");

    ngx_zertiban_row_state(out, e);
    ngx_zertiban_row_token(out, model, e);
    ngx_zertiban_row_exchanges(out, model, e);
    ngx_zertiban_row_failure(out, model, e);

    if (form && e->credential) {
        ngx_zertiban_row_form(out, e);
    }

    ngx_zertiban_out_text(out, "</td></tr>\n");
}


/* what people know it by */

void
ngx_zertiban_row_name(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e)
{
    if (e->client_id.len) {
        ngx_zertiban_out_text(out, "<bdi>");
        ngx_zertiban_out_html(out, &e->client_id);
        ngx_zertiban_out_text(out, "</bdi>");
        return;
    }

    ngx_zertiban_out_text(out, "<code>");
    ngx_zertiban_out_fingerprint(out, e->survey.key);
    ngx_zertiban_out_text(out, "</code>");
}


void
ngx_zertiban_row_obtained(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    if (e->survey.obtained == 0) {
        ngx_zertiban_out_text(out, "no token so far");
        return;
    }

    ngx_zertiban_out_text(out, "last token ");
    ngx_zertiban_frame_span(out, ngx_zertiban_before(e->survey.obtained,
                                                     model->msec)
                                 ? model->msec - e->survey.obtained : 0);
    ngx_zertiban_out_text(out, " ago");
}


/* the client ids of pairs before the one in use */

static void
ngx_zertiban_row_refused(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e)
{
    ngx_uint_t                 i, n;
    ngx_zertiban_pair_list_t  *list;

    list = &e->credential->pairs->list;
    n = 0;

    for (i = 0; i < list->tags.n && i + 1 != e->pair; i++) {

        if (ngx_zertiban_entry_refused(e, i) == NULL) {
            continue;
        }

        ngx_zertiban_out(out, "%s<bdi>", n++ ? ", " : "<br>refused: ");
        ngx_zertiban_out_html(out, &list->elts[i].id);
        ngx_zertiban_out_text(out, "</bdi>");
    }
}


static void
ngx_zertiban_row_host(ngx_zertiban_out_t *out, ngx_str_t *url)
{
    u_char     *p, *last;
    ngx_str_t   host;

    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, '/');

    host.data = (p && last - p > 2) ? p + 2 : url->data;

    p = ngx_strlchr(host.data, last, '/');

    host.len = (p ? p : last) - host.data;

    ngx_zertiban_out_html(out, &host);
}


static void
ngx_zertiban_row_state(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e)
{
    static char  *texts[] = {
        "no token",
        "no token, requested now",
        "valid",
        "valid, refreshed now",
        "valid, refresh fails",
        "no token"
    };

    ngx_zertiban_out(out, "<td class=\"state %s\" data-of=\"state\">%s</td>",
                     (e->care == NGX_ZERTIBAN_CARE_DELAYED) ? "care"
                     : (e->care < NGX_ZERTIBAN_CARE_DELAYED) ? "bad"
                     : (e->care == NGX_ZERTIBAN_CARE_WELL) ? "good" : "soft",
                     (e->care == NGX_ZERTIBAN_CARE_UNUSED)
                     ? "no token, not asked for"
                     : (e->fallback && !e->survey.failures)
                     ? "valid, older secret"
                     : texts[e->survey.standing]);
}


static void
ngx_zertiban_row_token(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_text(out, "<td class=\"n\" data-of=\"token ends in\">");

    if (e->survey.token) {
        ngx_zertiban_frame_span(out, ngx_zertiban_model_left(model,
                                                           e->survey.usable));

    } else {
        ngx_zertiban_out_text(out, "–");
    }

    ngx_zertiban_out_text(out, "</td><td class=\"n\" "
                               "data-of=\"next attempt in\">");

    if (e->survey.planned) {
        ngx_zertiban_frame_span(out, ngx_zertiban_model_left(model,
                                                            e->survey.next));

    } else {
        ngx_zertiban_out_text(out, "–");
    }

    ngx_zertiban_out_text(out, "</td>");
}


static void
ngx_zertiban_row_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_uint_t             i, failed;
    ngx_zertiban_times_t  *times;

    if (!e->recorded) {
        ngx_zertiban_out_text(out, "<td class=\"n\" data-of=\"requests\">–"
                                   "</td>");
        ngx_zertiban_out_text(out, "<td class=\"n\" data-of=\"exchanges\">–"
                                   "</td>");
        return;
    }

    ngx_zertiban_out_text(out, "<td class=\"n\" data-of=\"requests\">");
    ngx_zertiban_frame_number(out, e->tally.hits + e->tally.waits);

    if (e->tally.waiting) {
        ngx_zertiban_out(out, "<br><small>%ui waiting</small>",
                         e->tally.waiting);
    }

    failed = 0;

    for (i = 1; i < NGX_ZERTIBAN_OUTCOMES; i++) {
        failed += e->record.exchanges[i];
    }

    ngx_zertiban_out_text(out, "</td><td class=\"n\" data-of=\"exchanges\">");
    ngx_zertiban_frame_number(out, e->record.exchanges[NGX_ZERTIBAN_OK]);
    ngx_zertiban_out_text(out, " ok, ");
    ngx_zertiban_frame_number(out, failed);
    ngx_zertiban_out_text(out, " failed");

    if (e->survey.obtained) {
        ngx_zertiban_out_text(out, "<br><small>");
        ngx_zertiban_row_obtained(out, model, e);
        ngx_zertiban_out_text(out, "</small>");
    }

    times = &e->record.times;

    if (ngx_zertiban_times_count(times)) {
        ngx_zertiban_out(out, "<br><small>median about %M ms,<br>90 %% about "
                         "%M ms</small>",
                         ngx_zertiban_times_quantile(times,
                                            ngx_zertiban_exchange_bounds, 50),
                         ngx_zertiban_times_quantile(times,
                                            ngx_zertiban_exchange_bounds, 90));
    }

    ngx_zertiban_out_text(out, "</td>");
}


static void
ngx_zertiban_row_failure(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_str_t                text;
    ngx_zertiban_trouble_t  *trouble;

    trouble = &e->survey.trouble;

    ngx_zertiban_out_text(out, "<td data-of=\"last failure\">");

    if (trouble->time == 0) {
        ngx_zertiban_out_text(out, "–");
        return;
    }

    ngx_zertiban_out(out, "%V, ", ngx_zertiban_error_name(trouble->error));

    if (e->survey.failures) {
        ngx_zertiban_out(out, "%ui in a row, ", e->survey.failures);
    }

    ngx_zertiban_frame_span(out, ngx_max((time_t) (model->now / 1000)
                                        - trouble->time, 0)
                                * 1000);

    text.data = trouble->text;
    text.len = trouble->len;

    ngx_zertiban_out_text(out, " ago<br><small><bdi>");
    ngx_zertiban_out_html(out, &text);
    ngx_zertiban_out_text(out, "</bdi></small>");
}


static void
ngx_zertiban_row_form(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_text(out, "<form method=\"post\">"
                               "<input type=\"hidden\" name=\"action\" "
                               "value=\"refresh\">"
                               "<input type=\"hidden\" name=\"credential\" "
                               "value=\"");
    ngx_zertiban_out_fingerprint(out, e->survey.key);
    ngx_zertiban_out_text(out, "\"><button>try now</button></form>");
}
