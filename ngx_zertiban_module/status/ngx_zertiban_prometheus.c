
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The status for Prometheus.  A label of a credential is for what the
 * configuration names only: of others anybody may make any number.
 */


#include "ngx_zertiban_prometheus.h"
#include "ngx_zertiban_gate.h"
#include "ngx_zertiban_names.h"
#include "ngx_zertiban_version.h"


/* writes the value that a metric has for an entry */

typedef void (*ngx_zertiban_prometheus_pt)(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);


static void ngx_zertiban_prometheus_build(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_waits(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_info(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_credentials(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_results(ngx_zertiban_out_t *out,
    ngx_str_t *label, ngx_zertiban_record_t *record);
static void ngx_zertiban_prometheus_times(ngx_zertiban_out_t *out,
    const char *name, ngx_str_t *label, ngx_zertiban_times_t *times,
    ngx_msec_t *bounds);
static void ngx_zertiban_prometheus_sample(ngx_zertiban_out_t *out,
    const char *name, const char *suffix, ngx_str_t *label);
static void ngx_zertiban_prometheus_secrets(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model);
static void ngx_zertiban_prometheus_up(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_expiry(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_refresh(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_obtained(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_failures(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_loaded(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_fallback(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e);
static void ngx_zertiban_prometheus_gauge(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, char *name, char *help,
    ngx_zertiban_prometheus_pt value);
static void ngx_zertiban_prometheus_head(ngx_zertiban_out_t *out, char *name,
    char *type, char *help);
static void ngx_zertiban_prometheus_of_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, char *name);
static void ngx_zertiban_prometheus_label(ngx_str_t *label,
    ngx_zertiban_entry_t *e);


#define NGX_ZERTIBAN_LABEL_LEN                                                \
    (sizeof("credential=\"\"") - 1                                            \
     + (size_t) 2 * NGX_ZERTIBAN_FINGERPRINT_LEN)


static ngx_str_t  ngx_zertiban_prometheus_other
    = ngx_string("credential=\"other\"");


void
ngx_zertiban_prometheus(ngx_zertiban_out_t *out, ngx_zertiban_model_t *model)
{
    ngx_zertiban_prometheus_build(out, model);

    if (model->zone) {
        ngx_zertiban_prometheus_zone(out, model);
    }

    ngx_zertiban_prometheus_requests(out, model);
    ngx_zertiban_prometheus_waits(out, model);
    ngx_zertiban_prometheus_info(out, model);
    ngx_zertiban_prometheus_credentials(out, model);
    ngx_zertiban_prometheus_exchanges(out, model);
    ngx_zertiban_prometheus_secrets(out, model);
}


static void
ngx_zertiban_prometheus_build(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_prometheus_head(out, "build_info", "gauge",
                                 "Version of the module and of nginx; the "
                                 "value is always 1.");
    ngx_zertiban_out_text(out, "zertiban_build_info{version=\""
                               NGX_ZERTIBAN_VERSION "\",nginx_version=\""
                               NGINX_VERSION "\"} 1\n");

    if (model->zone) {
        ngx_zertiban_prometheus_head(out, "zone_start_time_seconds", "gauge",
                                     "Unix time at which the zone was made; "
                                     "counters began then.");
        ngx_zertiban_prometheus_of_zone(out, model, "zone_start_time_seconds");
        ngx_zertiban_out(out, "%T\n", model->info.start);
    }

    ngx_zertiban_prometheus_head(out, "config_load_time_seconds", "gauge",
                                 "Unix time at which this worker's "
                                 "configuration was loaded.");
    ngx_zertiban_out(out, "zertiban_config_load_time_seconds %T\n",
                     model->zmcf->loaded);
}


static void
ngx_zertiban_prometheus_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_prometheus_head(out, "zone_size_bytes", "gauge",
                                 "Size of the shared memory zone.");
    ngx_zertiban_prometheus_of_zone(out, model, "zone_size_bytes");
    ngx_zertiban_out(out, "%uz\n", model->info.size);

    ngx_zertiban_prometheus_head(out, "zone_free_bytes", "gauge",
                                 "Memory of the zone in pages that are free.");
    ngx_zertiban_prometheus_of_zone(out, model, "zone_free_bytes");
    ngx_zertiban_out(out, "%uz\n", model->info.free);

    ngx_zertiban_prometheus_head(out, "zone_evictions_total", "counter",
                                 "Credentials that were evicted to make room "
                                 "for others.");
    ngx_zertiban_prometheus_of_zone(out, model, "zone_evictions_total");
    ngx_zertiban_out(out, "%ui\n", model->info.evictions);

    ngx_zertiban_prometheus_head(out, "zone_resets_total", "counter",
                                 "Times the zone was emptied because a "
                                 "process had died with its mutex.");
    ngx_zertiban_prometheus_of_zone(out, model, "zone_resets_total");
    ngx_zertiban_out(out, "%ui\n", model->info.resets);
}


static void
ngx_zertiban_prometheus_requests(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_uint_t                i;
    ngx_zertiban_counters_t  *counters;

    counters = &model->counters;

    ngx_zertiban_prometheus_head(out, "credentials", "gauge",
                                 "Credentials in the zone, by state.");

    for (i = 0; i < NGX_ZERTIBAN_STANDINGS; i++) {
        ngx_zertiban_out(out, "zertiban_credentials{state=\"%V\"} %ui\n",
                         ngx_zertiban_standing_name(i), model->standings[i]);
    }

    ngx_zertiban_prometheus_head(out, "requests_total", "counter",
                                 "Requests that came to the gate, by result.");
    ngx_zertiban_out(out, "zertiban_requests_total{result=\"hit\"} %ui\n"
                     "zertiban_requests_total{result=\"wait\"} %ui\n",
                     counters->tally.hits, counters->tally.waits);

    for (i = 1; i < NGX_ZERTIBAN_ERRORS; i++) {
        ngx_zertiban_out(out, "zertiban_requests_total{result=\"%V\"} %ui\n",
                         ngx_zertiban_outcome_name(i), counters->refused[i]);
    }

    ngx_zertiban_out(out, "zertiban_requests_total{result=\"aborted\"} %ui\n",
                     counters->aborted);

    ngx_zertiban_prometheus_head(out, "requests_waiting", "gauge",
                                 "Requests that wait for a token now.");
    ngx_zertiban_out(out, "zertiban_requests_waiting %ui\n",
                     counters->tally.waiting);
}


static void
ngx_zertiban_prometheus_waits(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_counters_t  *counters;

    counters = &model->counters;

    ngx_zertiban_prometheus_head(out, "request_wait_seconds", "histogram",
                                 "Time that requests waited for a token, of "
                                 "those that waited.");

    ngx_zertiban_prometheus_times(out, "request_wait_seconds", NULL,
                                  &counters->waits, ngx_zertiban_wait_bounds);

    ngx_zertiban_prometheus_head(out, "api_unauthorized_total", "counter",
                                 "Answers of the API with status 401, by what "
                                 "was done.");
    ngx_zertiban_out(out,
                     "zertiban_api_unauthorized_total{action=\"replayed\"} "
                     "%ui\n"
                     "zertiban_api_unauthorized_total{action=\"passed\"} "
                     "%ui\n", counters->replayed, counters->passed);

    ngx_zertiban_prometheus_head(out, "token_missing_total", "counter",
                                 "First requests of a location in a worker "
                                 "whose upstream request did not carry the "
                                 "token.");
    ngx_zertiban_out(out, "zertiban_token_missing_total %ui\n",
                     counters->missing);
}


static void
ngx_zertiban_prometheus_info(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_uint_t             i;
    ngx_zertiban_entry_t  *e;

    ngx_zertiban_prometheus_head(out, "credential_info", "gauge",
                                 "A credential that the configuration names; "
                                 "the value is always 1.");

    for (i = 0; i < model->n; i++) {

        e = model->entries[i];

        ngx_zertiban_out_text(out, "zertiban_credential_info{credential=\"");
        ngx_zertiban_out_fingerprint(out, e->survey.key);
        ngx_zertiban_out_text(out, "\",client_id=\"");
        ngx_zertiban_out_label(out, &e->client_id);
        ngx_zertiban_out_text(out, "\",endpoint=\"");
        ngx_zertiban_out_label(out, &e->endpoint);
        ngx_zertiban_out_text(out, "\",scope=\"");
        ngx_zertiban_out_label(out, &e->scope);
        ngx_zertiban_out_text(out, "\"} 1\n");
    }
}


static void
ngx_zertiban_prometheus_credentials(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_prometheus_gauge(out, model, "credential_up",
                                  "Whether the credential has a token that "
                                  "can be used.",
                                  ngx_zertiban_prometheus_up);
    ngx_zertiban_prometheus_gauge(out, model,
                                  "token_expiry_timestamp_seconds",
                                  "Unix time until which the token is used; "
                                  "0 if there is none.",
                                  ngx_zertiban_prometheus_expiry);
    ngx_zertiban_prometheus_gauge(out, model,
                                  "token_refresh_timestamp_seconds",
                                  "Unix time at which the next exchange is "
                                  "due.",
                                  ngx_zertiban_prometheus_refresh);
    ngx_zertiban_prometheus_gauge(out, model,
                                  "token_obtained_timestamp_seconds",
                                  "Unix time of the last successful "
                                  "exchange; 0 if there was none.",
                                  ngx_zertiban_prometheus_obtained);
    ngx_zertiban_prometheus_gauge(out, model, "credential_failures",
                                  "Failed exchanges in a row.",
                                  ngx_zertiban_prometheus_failures);
}


static void
ngx_zertiban_prometheus_exchanges(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    u_char                 data[NGX_ZERTIBAN_LABEL_LEN];
    ngx_str_t              label;
    ngx_uint_t             i, others;
    ngx_zertiban_entry_t  *e;

    /* those that depend on variables, and those that are not shown */

    others = model->zmcf->dynamic;

    for (i = 0; i < model->n; i++) {
        others |= !model->entries[i]->recorded;
    }

    others |= (model->named > model->n);

    label.data = data;

    ngx_zertiban_prometheus_head(out, "exchanges_total", "counter",
                                 "Exchanges with the token endpoint, by "
                                 "result.");

    for (i = 0; i < model->n; i++) {

        e = model->entries[i];

        if (e->recorded) {
            ngx_zertiban_prometheus_label(&label, e);
            ngx_zertiban_prometheus_results(out, &label, &e->record);
        }
    }

    if (others) {
        ngx_zertiban_prometheus_results(out, &ngx_zertiban_prometheus_other,
                                        &model->others);
    }

    ngx_zertiban_prometheus_head(out, "exchange_duration_seconds", "histogram",
                                 "Time that exchanges took, from the name "
                                 "look-up to the last byte.");

    for (i = 0; i < model->n; i++) {

        e = model->entries[i];

        if (e->recorded) {
            ngx_zertiban_prometheus_label(&label, e);
            ngx_zertiban_prometheus_times(out, "exchange_duration_seconds",
                                          &label, &e->record.times,
                                          ngx_zertiban_exchange_bounds);
        }
    }

    if (others) {
        ngx_zertiban_prometheus_times(out, "exchange_duration_seconds",
                                      &ngx_zertiban_prometheus_other,
                                      &model->others.times,
                                      ngx_zertiban_exchange_bounds);
    }
}


static void
ngx_zertiban_prometheus_results(ngx_zertiban_out_t *out, ngx_str_t *label,
    ngx_zertiban_record_t *record)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_ZERTIBAN_OUTCOMES; i++) {
        ngx_zertiban_out(out,
                         "zertiban_exchanges_total{%V,result=\"%V\"} %uA\n",
                         label, ngx_zertiban_outcome_name(i),
                         record->exchanges[i]);
    }

    ngx_zertiban_out(out,
                     "zertiban_exchanges_total{%V,result=\"abandoned\"} %uA\n",
                     label, record->abandoned);
}


/* "label" is what the samples have besides their bounds, or NULL */

static void
ngx_zertiban_prometheus_times(ngx_zertiban_out_t *out, const char *name,
    ngx_str_t *label, ngx_zertiban_times_t *times, ngx_msec_t *bounds)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_ZERTIBAN_BUCKETS; i++) {
        n += times->buckets[i];

        ngx_zertiban_out(out, "zertiban_%s_bucket{", name);

        if (label) {
            ngx_zertiban_out(out, "%V,", label);
        }

        ngx_zertiban_out_text(out, "le=\"");

        if (i < NGX_ZERTIBAN_BUCKETS - 1) {
            ngx_zertiban_out_bound(out, bounds[i]);

        } else {
            ngx_zertiban_out_text(out, "+Inf");
        }

        ngx_zertiban_out(out, "\"} %ui\n", n);
    }

    ngx_zertiban_prometheus_sample(out, name, "sum", label);
    ngx_zertiban_out_moment(out, (int64_t) times->sum);
    ngx_zertiban_out_text(out, "\n");
    ngx_zertiban_prometheus_sample(out, name, "count", label);
    ngx_zertiban_out(out, "%ui\n", n);
}


/* a sample of a histogram, but for its value */

static void
ngx_zertiban_prometheus_sample(ngx_zertiban_out_t *out, const char *name,
    const char *suffix, ngx_str_t *label)
{
    if (label) {
        ngx_zertiban_out(out, "zertiban_%s_%s{%V} ", name, suffix, label);

    } else {
        ngx_zertiban_out(out, "zertiban_%s_%s ", name, suffix);
    }
}


static void
ngx_zertiban_prometheus_secrets(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model)
{
    ngx_zertiban_prometheus_gauge(out, model,
                                  "credential_loaded_timestamp_seconds",
                                  "Unix time at which the secret in use was "
                                  "read or last changed.",
                                  ngx_zertiban_prometheus_loaded);
    ngx_zertiban_prometheus_gauge(out, model, "credential_fallback",
                                  "Whether the previous pair of a rotation "
                                  "is in use.",
                                  ngx_zertiban_prometheus_fallback);
}


static void
ngx_zertiban_prometheus_up(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out(out, "%d", (int) e->survey.token);
}


static void
ngx_zertiban_prometheus_expiry(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_moment(out, e->survey.token
                                 ? ngx_zertiban_model_time(model,
                                                           e->survey.usable)
                                 : 0);
}


/* what is not planned is in flight, or is begun by whoever looks next */

static void
ngx_zertiban_prometheus_refresh(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_moment(out, e->survey.planned
                                 ? ngx_zertiban_model_time(model,
                                                           e->survey.next)
                                 : model->now);
}


static void
ngx_zertiban_prometheus_obtained(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out_moment(out, ngx_zertiban_entry_obtained(model, e));
}


static void
ngx_zertiban_prometheus_failures(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out(out, "%ui", e->survey.failures);
}


static void
ngx_zertiban_prometheus_loaded(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out(out, "%T", ngx_zertiban_entry_loaded(model, e));
}


static void
ngx_zertiban_prometheus_fallback(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, ngx_zertiban_entry_t *e)
{
    ngx_zertiban_out(out, "%d", (int) e->fallback);
}


static void
ngx_zertiban_prometheus_gauge(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, char *name, char *help,
    ngx_zertiban_prometheus_pt value)
{
    u_char      data[NGX_ZERTIBAN_LABEL_LEN];
    ngx_str_t   label;
    ngx_uint_t  i;

    label.data = data;

    ngx_zertiban_prometheus_head(out, name, "gauge", help);

    for (i = 0; i < model->n; i++) {
        ngx_zertiban_prometheus_label(&label, model->entries[i]);

        ngx_zertiban_out(out, "zertiban_%s{%V} ", name, &label);
        value(out, model, model->entries[i]);
        ngx_zertiban_out_text(out, "\n");
    }
}


static void
ngx_zertiban_prometheus_head(ngx_zertiban_out_t *out, char *name, char *type,
    char *help)
{
    ngx_zertiban_out(out, "# HELP zertiban_%s %s\n# TYPE zertiban_%s %s\n",
                     name, help, name, type);
}


static void
ngx_zertiban_prometheus_of_zone(ngx_zertiban_out_t *out,
    ngx_zertiban_model_t *model, char *name)
{
    ngx_zertiban_out(out, "zertiban_%s{zone=\"", name);
    ngx_zertiban_out_label(out, &model->zone->name);
    ngx_zertiban_out_text(out, "\"} ");
}


/* label->data is NGX_ZERTIBAN_LABEL_LEN bytes */

static void
ngx_zertiban_prometheus_label(ngx_str_t *label, ngx_zertiban_entry_t *e)
{
    u_char  *p;

    p = ngx_cpymem(label->data, "credential=\"",
                   sizeof("credential=\"") - 1);
    p = ngx_hex_dump(p, NGX_ZERTIBAN_FINGERPRINT(e->survey.key),
                     NGX_ZERTIBAN_FINGERPRINT_LEN);
    *p++ = '"';

    label->len = p - label->data;
}
