
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The status as a page for people: whether all is well, what is not, and what
 * to do.  It has no script and no other files.
 */


#include "ngx_zertiban_page.h"
#include "ngx_zertiban_advice.h"
#include "ngx_zertiban_frame.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_names.h"
#include "ngx_zertiban_row.h"
#include "ngx_zertiban_version.h"


#define NGX_ZERTIBAN_PAGE_REFRESH    5    /* s */
#define NGX_ZERTIBAN_PAGE_NAMES      3    /* of a kind of trouble, in full */


static const char *ngx_zertiban_page_verdict(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_notice_t *notices);
static void ngx_zertiban_page_share(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_uint_t n, const char *verb);
static void ngx_zertiban_page_asked(ngx_zertiban_out_t *out, ngx_uint_t n);
static void ngx_zertiban_page_well(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static ngx_str_t *ngx_zertiban_page_but(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notices);
static void ngx_zertiban_page_about(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_page_todo(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_notice_t *notices);
static ngx_uint_t ngx_zertiban_page_kind(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_advice_e kind);
static void ngx_zertiban_page_item(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_advice_t *advice,
    ngx_zertiban_entry_t *e, ngx_uint_t n);
static void ngx_zertiban_page_notice(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_notice_t *notice);
static void ngx_zertiban_page_table(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_uint_t form);
static void ngx_zertiban_page_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_page_refused(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_page_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);


void
ngx_zertiban_page(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_uint_t form)
{
    ngx_str_t              title;
    const char            *class;
    ngx_zertiban_out_t     verdict;
    ngx_zertiban_notice_t  notices[NGX_ZERTIBAN_NOTICES];

    ngx_zertiban_model_sort(model);
    ngx_zertiban_notices(model, notices);

    /* for the title, and for the headline; a few words, in one buffer */

    ngx_memzero(&verdict, sizeof(ngx_zertiban_out_t));
    verdict.pool = out->pool;

    class = ngx_zertiban_page_verdict(&verdict, model, notices);

    if (verdict.failed) {
        out->failed = 1;
        return;
    }

    title.data = verdict.chain->buf->pos;
    title.len = verdict.size;

    ngx_zertiban_frame_head(out, &title, NGX_ZERTIBAN_PAGE_REFRESH);

    ngx_zertiban_out(out, "<h1 class=\"%s\">", class);
    ngx_zertiban_out_html(out, &title);
    ngx_zertiban_out_text(out, "</h1>\n");

    ngx_zertiban_page_about(out, model);
    ngx_zertiban_page_todo(out, model, notices);
    ngx_zertiban_page_table(out, model, form);
    ngx_zertiban_page_requests(out, model);
    ngx_zertiban_page_zone(out, model);

    ngx_zertiban_frame_tail(out);
}


/* returns the class of the headline */

static const char *
ngx_zertiban_page_verdict(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_notice_t *notices)
{
    ngx_str_t   *but;
    ngx_uint_t  *standings;

    if (model->zone == NULL) {
        ngx_zertiban_out_text(out, "no location has \"zertiban on\"");
        return "good";
    }

    if (model->down) {
        ngx_zertiban_page_share(out, model, model->down,
                                (model->down == 1) ? "has no token"
                                                   : "have no token");
        return "bad";
    }

    if (model->stale) {
        ngx_zertiban_out_text(out, "refresh fails for ");
        ngx_zertiban_page_share(out, model, model->stale, NULL);
        return "care";
    }

    /* now these are of requests only */

    standings = model->standings;

    if (standings[NGX_ZERTIBAN_FAILING]) {
        ngx_zertiban_out_text(out, "no token for ");
        ngx_zertiban_page_asked(out, standings[NGX_ZERTIBAN_FAILING]);
        return "care";
    }

    if (standings[NGX_ZERTIBAN_DELAYED]) {
        ngx_zertiban_out_text(out, "refresh fails for ");
        ngx_zertiban_page_asked(out, standings[NGX_ZERTIBAN_DELAYED]);
        return "care";
    }

    ngx_zertiban_page_well(out, model);

    but = ngx_zertiban_page_but(model, notices);

    if (but == NULL) {
        return "good";
    }

    ngx_zertiban_out(out, ", but %V", but);

    return "care";
}


/* "n" of those that the configuration names, with a verb or without */

static void
ngx_zertiban_page_share(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_uint_t n, const char *verb)
{
    if (model->named == 1) {
        ngx_zertiban_out_text(out, "the credential");

    } else {
        ngx_zertiban_out(out, "%ui of %ui credentials", n, model->named);
    }

    if (verb) {
        ngx_zertiban_out(out, " %s", verb);
    }
}


static void
ngx_zertiban_page_asked(ngx_zertiban_out_t *out, ngx_uint_t n)
{
    ngx_zertiban_out(out, "%ui credential%s that requests name", n,
                     (n == 1) ? "" : "s");
}


static void
ngx_zertiban_page_well(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_uint_t  n;

    if (model->named == 1) {
        ngx_zertiban_out_text(out, "the credential has a token");
        return;
    }

    if (model->named) {
        ngx_zertiban_out(out, "all %ui credentials have a token",
                         model->named);
        return;
    }

    n = model->standings[NGX_ZERTIBAN_VALID]
        + model->standings[NGX_ZERTIBAN_REFRESHING];

    if (n == 0) {
        ngx_zertiban_out_text(out, "no credential is in use");
        return;
    }

    ngx_zertiban_page_asked(out, n);
    ngx_zertiban_out(out, " %s a token", (n == 1) ? "has" : "have");
}


/* the worst that is to be said although there are tokens, or NULL */

static ngx_str_t *
ngx_zertiban_page_but(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notices)
{
    ngx_uint_t             i;
    ngx_zertiban_advice_e  kind, worst;

    static ngx_str_t  buts[] = {
        ngx_string("the newest secret is refused"),
        ngx_string("a secret is past its date"),
        ngx_string("a secret ends soon")
    };

    for (i = 0; i < NGX_ZERTIBAN_NOTICES; i++) {
        if (notices[i].n && notices[i].verdict && notices[i].recent) {
            return &notices[i].brief;
        }
    }

    worst = NGX_ZERTIBAN_ADVICE_NONE;

    for (i = 0; i < model->n; i++) {
        kind = ngx_zertiban_advice(model->entries[i]);

        if (kind >= NGX_ZERTIBAN_ADVICE_FALLBACK) {
            worst = ngx_min(worst, kind);
        }
    }

    return (worst <= NGX_ZERTIBAN_ADVICE_EXPIRES)
           ? &buts[worst - NGX_ZERTIBAN_ADVICE_FALLBACK] : NULL;
}


static void
ngx_zertiban_page_about(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    time_t  now;

    now = (time_t) (model->now / 1000);

    ngx_zertiban_out_text(out, "<p class=\"about\">");
    ngx_zertiban_out_html(out, (ngx_str_t *) &ngx_cycle->hostname);
    ngx_zertiban_out_text(out, " · <time>");
    ngx_zertiban_frame_date(out, now);
    ngx_zertiban_out_text(out, "</time> · configuration loaded ");
    ngx_zertiban_frame_span(out, ngx_max(now - model->zmcf->loaded, 0) * 1000);
    ngx_zertiban_out(out, " ago · module " NGX_ZERTIBAN_VERSION ", nginx "
                     NGINX_VERSION " · refreshes every %d s</p>\n",
                     NGX_ZERTIBAN_PAGE_REFRESH);
}


static void
ngx_zertiban_page_todo(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notices)
{
    ngx_uint_t  i, n;

    n = 0;

    ngx_zertiban_out_text(out, "<ul class=\"todo\">\n");

    for (i = 0; i < NGX_ZERTIBAN_ADVICE_NONE; i++) {
        n += ngx_zertiban_page_kind(out, model, (ngx_zertiban_advice_e) i);
    }

    for (i = 0; i < NGX_ZERTIBAN_NOTICES; i++) {

        if (notices[i].n == 0) {
            continue;
        }

        ngx_zertiban_out_text(out, "<li>");
        ngx_zertiban_page_notice(out, model, &notices[i]);
        n++;
    }

    if (model->zone == NULL) {
        ngx_zertiban_out_text(out, "<li>Requests get a token in locations with "
                                   "<code>zertiban on</code>.</li>\n");

    } else if (n == 0) {
        ngx_zertiban_out_text(out, "<li>There is nothing to do.</li>\n");
    }

    ngx_zertiban_out_text(out, "</ul>\n");
}


/* the credentials that have the same trouble are one item */

static ngx_uint_t
ngx_zertiban_page_kind(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_advice_e kind)
{
    ngx_uint_t             i, n;
    ngx_zertiban_entry_t  *e, *first;

    n = 0;
    first = NULL;

    for (i = 0; i < model->n; i++) {

        e = model->entries[i];

        if (ngx_zertiban_advice(e) != kind) {
            continue;
        }

        if (first == NULL) {
            first = e;
        }

        if (++n > NGX_ZERTIBAN_PAGE_NAMES) {
            continue;
        }

        ngx_zertiban_out_data(out, (u_char *) ((n == 1) ? "<li>" : ", "),
                              (n == 1) ? 4 : 2);
        ngx_zertiban_row_name(out, e);
    }

    if (n == 0) {
        return 0;
    }

    if (n > NGX_ZERTIBAN_PAGE_NAMES) {
        ngx_zertiban_out(out, " and %ui more", n - NGX_ZERTIBAN_PAGE_NAMES);
    }

    ngx_zertiban_out_text(out, ": ");
    ngx_zertiban_page_item(out, model, &ngx_zertiban_advices[kind], first, n);

    return n;
}


/* of the first one of those that have the same trouble */

static void
ngx_zertiban_page_item(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_advice_t *advice, ngx_zertiban_entry_t *e, ngx_uint_t n)
{
    ngx_zertiban_out_text(out, "<b>");
    ngx_zertiban_out_data(out, advice->what.data, advice->what.len);
    ngx_zertiban_out_text(out, "</b>\n<p>");
    ngx_zertiban_out_data(out, advice->todo.data, advice->todo.len);
    ngx_zertiban_out_text(out, "</p>");

    if (e->endpoint.len) {
        ngx_zertiban_out_text(out, "\n<p><small>token endpoint <code>");
        ngx_zertiban_out_html(out, &e->endpoint);
        ngx_zertiban_out_text(out, "</code>");

        if (n == 1 && e->survey.failures) {
            ngx_zertiban_out_text(out, ", ");
            ngx_zertiban_row_obtained(out, model, e);

            if (e->survey.token) {
                ngx_zertiban_out_text(out, ", good for ");
                ngx_zertiban_frame_span(out, ngx_zertiban_model_left(model,
                                                           e->survey.usable));
            }
        }

        ngx_zertiban_out_text(out, "</small></p>");
    }

    ngx_zertiban_out_text(out, "</li>\n");
}


static void
ngx_zertiban_page_notice(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notice)
{
    ngx_zertiban_advice_t  *advice;

    advice = &notice->advice;

    ngx_zertiban_out_text(out, "<b>");
    ngx_zertiban_out_data(out, advice->what.data, advice->what.len);
    ngx_zertiban_out_text(out, "</b>: ");
    ngx_zertiban_frame_number(out, notice->n);

    if (notice->last) {
        ngx_zertiban_out_text(out, ", the last one ");
        ngx_zertiban_frame_span(out, ngx_max((time_t) (model->now / 1000)
                                             - notice->last, 0)
                                     * 1000);
        ngx_zertiban_out_text(out, " ago");
    }

    ngx_zertiban_out_text(out, "\n<p>");
    ngx_zertiban_out_data(out, advice->todo.data, advice->todo.len);
    ngx_zertiban_out_text(out, "</p></li>\n");
}


static void
ngx_zertiban_page_table(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_uint_t form)
{
    ngx_uint_t  i;

    if (model->total == 0) {
        return;
    }

    ngx_zertiban_out_text(out, "<h2>Credentials</h2>\n");

    if (model->total > model->n) {
        ngx_zertiban_out(out, "<p class=\"about\">%ui of %ui are shown, those "
                         "in trouble first</p>\n", model->n, model->total);
    }

    ngx_zertiban_out_text(out, "<table>\n<thead><tr><th>credential"
                               "</th><th>state</th><th>token ends in</th>"
                               "<th>next attempt in</th><th>requests</th>"
                               "<th>exchanges</th><th>last failure</th>"
                               "</tr></thead>\n<tbody>\n");

    for (i = 0; i < model->n; i++) {
        ngx_zertiban_row(out, model, model->entries[i], form);
    }

    ngx_zertiban_out_text(out, "</tbody>\n</table>\n");
}


static void
ngx_zertiban_page_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_counters_t  *counters;

    if (model->zone == NULL) {
        return;
    }

    counters = &model->counters;

    ngx_zertiban_out_text(out, "<h2>Requests since ");
    ngx_zertiban_frame_date(out, model->info.start);
    ngx_zertiban_out_text(out, "</h2>\n<dl>\n<dt>with a token</dt><dd>");
    ngx_zertiban_frame_number(out, counters->tally.hits);
    ngx_zertiban_out_text(out, " at once, ");
    ngx_zertiban_frame_number(out, counters->tally.waits);
    ngx_zertiban_out_text(out, " after a wait");

    if (counters->tally.waits) {
        ngx_zertiban_out(out, " (median about %M ms, 90 %% about %M ms)",
                         ngx_zertiban_times_quantile(&counters->waits,
                                                ngx_zertiban_wait_bounds, 50),
                         ngx_zertiban_times_quantile(&counters->waits,
                                                ngx_zertiban_wait_bounds, 90));
    }

    ngx_zertiban_out_text(out, "</dd>\n<dt>waiting now</dt><dd>");
    ngx_zertiban_frame_number(out, counters->tally.waiting);

    ngx_zertiban_page_refused(out, model);

    ngx_zertiban_out_text(out, "</dd>\n<dt>left while they waited</dt><dd>");
    ngx_zertiban_frame_number(out, counters->aborted);

    ngx_zertiban_out_text(out, "</dd>\n<dt>401 of the API</dt><dd>");
    ngx_zertiban_frame_number(out, counters->replayed);
    ngx_zertiban_out_text(out, " replayed with another token, ");
    ngx_zertiban_frame_number(out, counters->passed);
    ngx_zertiban_out_text(out, " passed on to the client</dd>\n</dl>\n");
}


static void
ngx_zertiban_page_refused(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 1; i < NGX_ZERTIBAN_ERRORS; i++) {
        n += model->counters.refused[i];
    }

    ngx_zertiban_out_text(out, "</dd>\n<dt>refused</dt><dd>");
    ngx_zertiban_frame_number(out, n);

    n = 0;

    for (i = 1; i < NGX_ZERTIBAN_ERRORS; i++) {

        if (model->counters.refused[i]) {
            ngx_zertiban_out(out, "%s%V ", n++ ? ", " : ": ",
                             ngx_zertiban_outcome_name(i));
            ngx_zertiban_frame_number(out, model->counters.refused[i]);
        }
    }
}


static void
ngx_zertiban_page_zone(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_uint_t                 i, n;
    ngx_zertiban_zone_info_t  *info;

    if (model->zone == NULL) {
        return;
    }

    info = &model->info;

    ngx_zertiban_out_text(out, "<h2>Zone</h2>\n<dl>\n<dt>");
    ngx_zertiban_out_html(out, &model->zone->name);
    ngx_zertiban_out_text(out, "</dt><dd>");
    ngx_zertiban_frame_number(out, (info->used + 1023) / 1024);
    ngx_zertiban_out_text(out, " of ");
    ngx_zertiban_frame_number(out, info->size / 1024);
    ngx_zertiban_out_text(out, " KB in use, ");
    ngx_zertiban_frame_number(out, info->evictions);
    ngx_zertiban_out(out, " token%s thrown out, emptied ",
                     (info->evictions == 1) ? "" : "s");
    ngx_zertiban_frame_number(out, info->resets);
    ngx_zertiban_out(out, " time%s</dd>\n<dt>credentials</dt><dd>",
                     (info->resets == 1) ? "" : "s");

    n = 0;

    for (i = 0; i < NGX_ZERTIBAN_STANDINGS; i++) {

        if (model->standings[i]) {
            ngx_zertiban_out_data(out, (u_char *) ", ", n++ ? 2 : 0);
            ngx_zertiban_frame_number(out, model->standings[i]);
            ngx_zertiban_out(out, " %V", ngx_zertiban_standing_name(i));
        }
    }

    if (n == 0) {
        ngx_zertiban_out_text(out, "none");
    }

    ngx_zertiban_out_text(out, "</dd>\n</dl>\n");
}
