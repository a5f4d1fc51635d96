
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What is counted and remembered of exchanges, for people.
 */


#include "ngx_zertiban_record.h"
#include "ngx_zertiban_report.h"
#include "ngx_zertiban_survey.h"


void
ngx_zertiban_record_exchange(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    ngx_zertiban_error_e    error;
    ngx_zertiban_record_t  *record;

    record = credential->record;

    if (verdict == NULL) {
        (void) ngx_atomic_fetch_add(&record->abandoned, 1);
        return;
    }

    error = verdict->error;

    if (error == NGX_ZERTIBAN_BUSY) {

        /* nothing was sent */

        return;
    }

    if (error == NGX_ZERTIBAN_ZONE_FULL) {
        error = NGX_ZERTIBAN_OK;
    }

    (void) ngx_atomic_fetch_add(&record->exchanges[error], 1);

    if (error == NGX_ZERTIBAN_OK) {
        record->obtained = ngx_time();
    }

    ngx_zertiban_counters_time(&record->times, ngx_zertiban_exchange_bounds,
                               ngx_current_msec - credential->begun);

    if (verdict->date != -1) {
        record->ahead = ngx_time() - verdict->date;
        record->compared = ngx_time();
    }
}


void
ngx_zertiban_record_pair(ngx_zertiban_credential_t *credential,
    ngx_zertiban_tag_t tag)
{
    time_t                  written;
    ngx_zertiban_pairs_t   *pairs;
    ngx_zertiban_record_t  *record;

    record = credential->record;

    if (record->pair == tag) {
        return;
    }

    pairs = credential->pairs;

    written = pairs->file.len
              ? pairs->good.mtime.tv_sec
              : pairs->list.elts[ngx_zertiban_pairs_tried(pairs)].written;

    record->pair = tag;
    record->since = written ? written : ngx_time();
}


void
ngx_zertiban_record_failure(ngx_zertiban_credential_t *credential,
    ngx_zertiban_verdict_t *verdict)
{
    u_char    *p, *last;
    ngx_str_t  text;
    u_char     buf[NGX_ZERTIBAN_TROUBLE_MAX];

    last = buf + sizeof(buf);

    p = ngx_slprintf(buf, last, "%V", &verdict->reason);
    p += ngx_zertiban_report_answer(verdict, p, last - p);

    text.data = buf;
    text.len = p - buf;

    ngx_zertiban_survey_failed(ngx_zertiban_credential_zone(credential),
                               credential->key, verdict->error,
                               verdict->status, &text);
}
