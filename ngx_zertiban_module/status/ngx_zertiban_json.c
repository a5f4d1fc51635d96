
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The status as JSON: for scripts, and for people with jq.
 */


#include "ngx_zertiban_json.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_names.h"
#include "ngx_zertiban_version.h"


static void ngx_zertiban_json_head(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_json_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_json_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_json_last(ngx_zertiban_out_t *out,
    ngx_zertiban_ledger_t *ledger);
static void ngx_zertiban_json_time(ngx_zertiban_out_t *out, time_t t);
static void ngx_zertiban_json_entry(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_identity(ngx_zertiban_out_t *out,
    ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_token(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_moment(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, const char *name, ngx_uint_t known,
    ngx_msec_t moment);
static void ngx_zertiban_json_failure(ngx_zertiban_out_t *out,
    ngx_zertiban_survey_t *survey);
static void ngx_zertiban_json_pairs(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_refused(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_counted(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_json_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_record_t *record);
static void ngx_zertiban_json_times(ngx_zertiban_out_t *out,
    ngx_zertiban_times_t *times, ngx_msec_t *bounds);


void
ngx_zertiban_json(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_uint_t  i;

    ngx_zertiban_json_head(out, model);
    ngx_zertiban_json_zone(out, model);
    ngx_zertiban_json_requests(out, model);

    ngx_zertiban_out_text(out, "  \"states\": {");

    for (i = 0; i < NGX_ZERTIBAN_STANDINGS; i++) {
        ngx_zertiban_out(out, "%s\"%V\": %ui", i ? ", " : "",
                         ngx_zertiban_standing_name(i), model->standings[i]);
    }

    ngx_zertiban_out(out, "},\n  \"total\": %ui,\n  \"shown\": %ui,\n",
                     model->total, model->n);

    ngx_zertiban_out_text(out, "  \"credentials\": [");

    for (i = 0; i < model->n; i++) {
        ngx_zertiban_out(out, "%s\n    {\n", i ? "," : "");
        ngx_zertiban_json_entry(out, model, model->entries[i]);
        ngx_zertiban_out_text(out, "\n    }");
    }

    ngx_zertiban_out(out, "%s],\n  \"others\": {\n", model->n ? "\n  " : "");

    ngx_zertiban_json_exchanges(out, &model->others);

    ngx_zertiban_out_text(out, "\n  }\n}\n");
}


static void
ngx_zertiban_json_head(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (model->now / 1000), &tm);

    ngx_zertiban_out_text(out, "{\n  \"version\": \"" NGX_ZERTIBAN_VERSION
                               "\",\n  \"nginx\": \"" NGINX_VERSION
                               "\",\n  \"host\": ");
    ngx_zertiban_out_json(out, (ngx_str_t *) &ngx_cycle->hostname);

    ngx_zertiban_out(out, ",\n  \"pid\": %P,\n  \"now\": ", ngx_pid);
    ngx_zertiban_out_moment(out, model->now);

    ngx_zertiban_out(out, ",\n  \"date\": \"%4d-%02d-%02dT%02d:%02d:%02dZ\",\n",
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);

    ngx_zertiban_out(out, "  \"configuration\": {\"loaded_at\": %T, "
                     "\"credentials\": %ui, \"without_token\": %ui},\n",
                     model->zmcf->loaded, model->named, model->down);
}


static void
ngx_zertiban_json_zone(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_zertiban_zone_info_t  *info;

    ngx_zertiban_out_text(out, "  \"zone\": ");

    if (model->zone == NULL) {
        ngx_zertiban_out_text(out, "null,\n");
        return;
    }

    info = &model->info;

    ngx_zertiban_out_text(out, "{\"name\": ");
    ngx_zertiban_out_json(out, &model->zone->name);

    ngx_zertiban_out(out, ", \"size\": %uz, \"free\": %uz, \"used\": %uz, "
                     "\"evictions\": %ui, \"resets\": %ui, "
                     "\"started_at\": %T},\n",
                     info->size, info->free, info->used, info->evictions,
                     info->resets, info->start);
}


static void
ngx_zertiban_json_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_uint_t                i;
    ngx_zertiban_counters_t  *counters;

    counters = &model->counters;

    ngx_zertiban_out(out, "  \"requests\": {\"hit\": %ui, \"wait\": %ui",
                     counters->tally.hits, counters->tally.waits);

    for (i = 1; i < NGX_ZERTIBAN_ERRORS; i++) {
        ngx_zertiban_out(out, ", \"%V\": %ui", ngx_zertiban_outcome_name(i),
                         counters->refused[i]);
    }

    ngx_zertiban_out(out, ", \"aborted\": %ui},\n  \"waiting\": %ui,\n",
                     counters->aborted, counters->tally.waiting);

    ngx_zertiban_out_text(out, "  \"wait_time\": ");
    ngx_zertiban_json_times(out, &counters->waits, ngx_zertiban_wait_bounds);

    ngx_zertiban_out(out, ",\n  \"api_unauthorized\": {\"replayed\": %ui, "
                     "\"passed\": %ui},\n  \"token_missing\": %ui,\n",
                     counters->replayed, counters->passed,
                     counters->missing);

    ngx_zertiban_json_last(out, &model->ledger);
}


static void
ngx_zertiban_json_last(ngx_zertiban_out_t *out, ngx_zertiban_ledger_t *ledger)
{
    ngx_uint_t  i;

    ngx_zertiban_out_text(out, "  \"last_at\": {");

    for (i = 1; i < NGX_ZERTIBAN_ERRORS; i++) {
        ngx_zertiban_out(out, "\"%V\": ", ngx_zertiban_outcome_name(i));
        ngx_zertiban_json_time(out, ledger->refused[i]);
        ngx_zertiban_out_text(out, ", ");
    }

    ngx_zertiban_out_text(out, "\"passed\": ");
    ngx_zertiban_json_time(out, ledger->passed);
    ngx_zertiban_out_text(out, ", \"token_missing\": ");
    ngx_zertiban_json_time(out, ledger->missing);
    ngx_zertiban_out_text(out, ", \"eviction\": ");
    ngx_zertiban_json_time(out, ledger->evicted);
    ngx_zertiban_out_text(out, ", \"reset\": ");
    ngx_zertiban_json_time(out, ledger->emptied);
    ngx_zertiban_out_text(out, "},\n");
}


static void
ngx_zertiban_json_time(ngx_zertiban_out_t *out, time_t t)
{
    if (t) {
        ngx_zertiban_out(out, "%T", t);

    } else {
        ngx_zertiban_out_text(out, "null");
    }
}


static void
ngx_zertiban_json_entry(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_text(out, "      \"fingerprint\": \"");
    ngx_zertiban_out_fingerprint(out, e->survey.key);
    ngx_zertiban_out(out, "\",\n      \"configured\": %s,\n",
                     e->credential ? "true" : "false");

    ngx_zertiban_json_identity(out, e);

    ngx_zertiban_out(out, "      \"state\": \"%V\",\n      \"up\": %s,\n",
                     ngx_zertiban_standing_name(e->survey.standing),
                     e->survey.token ? "true" : "false");

    ngx_zertiban_json_token(out, model, e);
    ngx_zertiban_json_failure(out, &e->survey);
    ngx_zertiban_json_pairs(out, model, e);
    ngx_zertiban_json_counted(out, model, e);
}


static void
ngx_zertiban_json_identity(ngx_zertiban_out_t *out, ngx_zertiban_entry_t *e)
{
    if (e->client.data == NULL) {
        ngx_zertiban_out_text(out, "      \"client_id\": null,\n"
                                   "      \"file\": null,\n"
                                   "      \"endpoint\": null,\n"
                                   "      \"scope\": null,\n");
        return;
    }

    ngx_zertiban_out_text(out, "      \"client_id\": ");

    if (e->client_id.data) {
        ngx_zertiban_out_json(out, &e->client_id);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, ",\n      \"file\": ");

    if (e->file) {
        ngx_zertiban_out_json(out, &e->client);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, ",\n      \"endpoint\": ");
    ngx_zertiban_out_json(out, &e->endpoint);
    ngx_zertiban_out_text(out, ",\n      \"scope\": ");
    ngx_zertiban_out_json(out, &e->scope);
    ngx_zertiban_out_text(out, ",\n");
}


static void
ngx_zertiban_json_token(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e)
{
    int64_t                 obtained;
    ngx_zertiban_survey_t  *survey;

    survey = &e->survey;
    obtained = ngx_zertiban_entry_obtained(model, e);

    ngx_zertiban_out_text(out, "      \"obtained_at\": ");

    if (obtained) {
        ngx_zertiban_out_moment(out, obtained);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_json_moment(out, model, "expires", survey->token,
                             survey->usable);
    ngx_zertiban_json_moment(out, model, "next", survey->planned,
                             survey->next);
}


/* when it comes, and in how long, if that is known */

static void
ngx_zertiban_json_moment(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    const char *name, ngx_uint_t known, ngx_msec_t moment)
{
    if (!known) {
        ngx_zertiban_out(out, ",\n      \"%s_at\": null,\n"
                         "      \"%s_in\": null", name, name);
        return;
    }

    ngx_zertiban_out(out, ",\n      \"%s_at\": ", name);
    ngx_zertiban_out_moment(out, ngx_zertiban_model_time(model, moment));
    ngx_zertiban_out(out, ",\n      \"%s_in\": ", name);
    ngx_zertiban_out_moment(out, ngx_zertiban_model_left(model, moment));
}


static void
ngx_zertiban_json_failure(ngx_zertiban_out_t *out,
    ngx_zertiban_survey_t *survey)
{
    ngx_str_t                text;
    ngx_zertiban_trouble_t  *trouble;

    ngx_zertiban_out(out, ",\n      \"failures\": %ui,\n"
                     "      \"last_failure\": ", survey->failures);

    trouble = &survey->trouble;

    if (trouble->time == 0) {
        ngx_zertiban_out_text(out, "null,\n");
        return;
    }

    text.data = trouble->text;
    text.len = trouble->len;

    ngx_zertiban_out(out, "{\"at\": %T, \"error\": \"%V\", \"status\": ",
                     trouble->time, ngx_zertiban_error_name(trouble->error));

    if (trouble->status) {
        ngx_zertiban_out(out, "%ui", trouble->status);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, ", \"reason\": ");
    ngx_zertiban_out_json(out, &text);
    ngx_zertiban_out_text(out, "},\n");
}


static void
ngx_zertiban_json_pairs(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model,
    ngx_zertiban_entry_t *e)
{
    ngx_zertiban_pair_list_t  *list;

    ngx_zertiban_out_text(out, "      \"pairs\": ");

    if (e->credential == NULL || e->credential->pairs == NULL) {
        ngx_zertiban_out_text(out, "null,\n");
        return;
    }

    list = &e->credential->pairs->list;

    ngx_zertiban_out(out, "{\"count\": %ui, \"used\": ", list->tags.n);

    if (e->pair) {
        ngx_zertiban_out(out, "%ui", e->pair);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, ", \"expires\": ");

    if (e->expires) {
        ngx_zertiban_out_text(out, "\"");
        ngx_zertiban_out_date(out, e->expires);
        ngx_zertiban_out_text(out, "\"");

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out_text(out, ", \"refused\": [");
    ngx_zertiban_json_refused(out, model, e);
    ngx_zertiban_out_text(out, "]},\n");
}


static void
ngx_zertiban_json_refused(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_uint_t           i, n;
    ngx_zertiban_try_t  *try;

    n = 0;

    for (i = 0; i < e->credential->pairs->list.tags.n; i++) {

        try = ngx_zertiban_entry_refused(e, i);

        if (try == NULL) {
            continue;
        }

        ngx_zertiban_out(out, "%s{\"pair\": %ui, \"refusals\": %ui, "
                         "\"next_in\": ", n++ ? ", " : "", i + 1,
                         try->refusals);
        ngx_zertiban_out_moment(out, ngx_zertiban_model_left(model,
                                                             try->retry));
        ngx_zertiban_out_text(out, "}");
    }
}


static void
ngx_zertiban_json_counted(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    if (!e->recorded) {
        ngx_zertiban_out_text(out, "      \"clock_ahead\": null,\n"
                                   "      \"loaded_at\": null,\n"
                                   "      \"requests\": null,\n"
                                   "      \"waiting\": null,\n"
                                   "      \"exchanges\": null,\n"
                                   "      \"exchange_time\": null");
        return;
    }

    ngx_zertiban_out_text(out, "      \"clock_ahead\": ");

    if (e->record.compared) {
        ngx_zertiban_out(out, "%T", e->record.ahead);

    } else {
        ngx_zertiban_out_text(out, "null");
    }

    ngx_zertiban_out(out, ",\n      \"loaded_at\": %T,\n"
                     "      \"requests\": {\"hit\": %ui, \"wait\": %ui},\n"
                     "      \"waiting\": %ui,\n",
                     ngx_zertiban_entry_loaded(model, e), e->tally.hits,
                     e->tally.waits, e->tally.waiting);

    ngx_zertiban_json_exchanges(out, &e->record);
}


static void
ngx_zertiban_json_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_record_t *record)
{
    ngx_uint_t  i;

    ngx_zertiban_out_text(out, "      \"exchanges\": {");

    for (i = 0; i < NGX_ZERTIBAN_OUTCOMES; i++) {
        ngx_zertiban_out(out, "\"%V\": %uA, ", ngx_zertiban_outcome_name(i),
                         record->exchanges[i]);
    }

    ngx_zertiban_out(out, "\"abandoned\": %uA},\n      \"exchange_time\": ",
                     record->abandoned);

    ngx_zertiban_json_times(out, &record->times, ngx_zertiban_exchange_bounds);
}


static void
ngx_zertiban_json_times(ngx_zertiban_out_t *out, ngx_zertiban_times_t *times,
    ngx_msec_t *bounds)
{
    ngx_uint_t  i, n;

    n = 0;

    ngx_zertiban_out_text(out, "{\"buckets\": {");

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS - 1; i++) {
        n += times->buckets[i];

        ngx_zertiban_out_text(out, "\"");
        ngx_zertiban_out_bound(out, bounds[i]);
        ngx_zertiban_out(out, "\": %ui, ", n);
    }

    n += times->buckets[i];

    ngx_zertiban_out(out, "\"+Inf\": %ui}, \"sum\": ", n);
    ngx_zertiban_out_moment(out, (int64_t) times->sum);
    ngx_zertiban_out(out, ", \"count\": %ui}", n);
}
