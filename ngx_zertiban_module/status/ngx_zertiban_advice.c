
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What an operator is told of what is wrong: how to find out more, and what to
 * do.  The texts of docs/operations.md, for those who have the page only.
 */


#include "ngx_zertiban_advice.h"


#define NGX_ZERTIBAN_NOTICE_HOUR  3600      /* s */
#define NGX_ZERTIBAN_NOTICE_DAY   86400

#define ngx_zertiban_advice_of(what, todo)                                    \
    { ngx_string(what), ngx_string(todo) }


/* what the text of a failure may have in it, if it is of "error" */

typedef struct {
    ngx_str_t                   text;
    ngx_zertiban_error_e        error;
    ngx_zertiban_advice_e       advice;
} ngx_zertiban_advice_sign_t;


static ngx_zertiban_advice_e ngx_zertiban_advice_failure(
    ngx_zertiban_survey_t *survey);
static ngx_zertiban_advice_e ngx_zertiban_advice_pair(
    ngx_zertiban_entry_t *e);
static void ngx_zertiban_notice(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notice, ngx_uint_t n, time_t last);


/* the first one that fits; an empty text does always */

static ngx_zertiban_advice_sign_t  ngx_zertiban_advice_signs[] = {

    { ngx_string("resolved"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_NAME },
    { ngx_string("no address of the host"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_NAME },
    { ngx_string("not yet valid"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_CLOCK },
    { ngx_string("has expired"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_CLOCK },
    { ngx_string("certificate"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_CERTIFICATE },
    { ngx_string("out of order"),
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_BROKEN },
    { ngx_null_string,
      NGX_ZERTIBAN_IDP_UNREACHABLE, NGX_ZERTIBAN_ADVICE_DOWN },

    { ngx_string("URL may be wrong"),
      NGX_ZERTIBAN_IDP_REJECTED_CLIENT, NGX_ZERTIBAN_ADVICE_URL },
    { ngx_null_string,
      NGX_ZERTIBAN_IDP_REJECTED_CLIENT, NGX_ZERTIBAN_ADVICE_SECRET },

    { ngx_string("unexpected status"),
      NGX_ZERTIBAN_IDP_BAD_RESPONSE, NGX_ZERTIBAN_ADVICE_URL },
    { ngx_null_string,
      NGX_ZERTIBAN_IDP_BAD_RESPONSE, NGX_ZERTIBAN_ADVICE_ANSWER },

    { ngx_null_string,
      NGX_ZERTIBAN_IDP_RATE_LIMITED, NGX_ZERTIBAN_ADVICE_LIMITED },
    { ngx_null_string,
      NGX_ZERTIBAN_IDP_TIMEOUT, NGX_ZERTIBAN_ADVICE_SLOW },
    { ngx_null_string,
      NGX_ZERTIBAN_ZONE_FULL, NGX_ZERTIBAN_ADVICE_ROOM },

    { ngx_null_string,
      NGX_ZERTIBAN_OK, NGX_ZERTIBAN_ADVICE_STARTS }
};


ngx_zertiban_advice_t  ngx_zertiban_advices[] = {

    ngx_zertiban_advice_of(
        "the token endpoint refuses the client id or its secret",
        "It is wrong, it was revoked, it has run out (after 180 days), or it "
        "is for the other environment: sandbox and production have different "
        "ones. Create a new pair. With <code>zertiban_credentials_file</code> "
        "put it first in the file, no reload is needed; otherwise put it into "
        "the configuration or its secret file and reload nginx."),

    ngx_zertiban_advice_of(
        "the token endpoint refuses the request, its URL may be wrong",
        "Compare <code>zertiban_token_endpoint</code> with Zertiban's "
        "documents: host, path and environment."),

    ngx_zertiban_advice_of(
        "the name of the token endpoint cannot be resolved",
        "DNS fails on this machine, or the name is wrong. Try "
        "<code>getent hosts</code> with the name here, look at "
        "<code>resolver</code> in nginx&#39;s configuration and at the server "
        "that it names, and at the name in "
        "<code>zertiban_token_endpoint</code>. Without <code>resolver</code> "
        "reload nginx when the name is known."),

    ngx_zertiban_advice_of(
        "the token endpoint&#39;s certificate is not valid at this "
        "machine&#39;s time",
        "The date at the top of this page is what this machine takes for the "
        "present: if it is wrong, set the clock and see that it is kept (NTP, "
        "<code>timedatectl</code>). If it is right, the certificate has run "
        "out: tell Zertiban. Nothing was sent."),

    ngx_zertiban_advice_of(
        "the token endpoint&#39;s certificate is not accepted",
        "Nothing was sent. Is the URL right, and does "
        "<code>zertiban_ssl_trusted_certificate</code> name a file with the "
        "CA? The last failure says more. Never switch the verification off: "
        "the secret would go to whoever answers."),

    ngx_zertiban_advice_of(
        "the token endpoint cannot be reached",
        "It is down, or the network or a firewall is in the way. Try "
        "<code>curl -v</code> with its URL from this machine: if that fails as "
        "well, the cause is not nginx. Tokens are requested again by "
        "themselves; there is nothing to change here while it is down."),

    ngx_zertiban_advice_of(
        "the token endpoint is out of order",
        "It answers with an error of its own (5xx). Tokens are requested "
        "again by themselves; if it stays so, tell Zertiban."),

    ngx_zertiban_advice_of(
        "the token endpoint does not answer in time",
        "It is slow or overloaded, or packets are lost on the way. Try "
        "<code>curl -v</code> with its URL from this machine. If it is always "
        "that slow, raise <code>zertiban_timeout</code>."),

    ngx_zertiban_advice_of(
        "the token endpoint asks to slow down",
        "Too many tokens were requested, perhaps by others with the same "
        "client id. The module waits as long as it was told to; nothing is to "
        "be done unless it stays so."),

    ngx_zertiban_advice_of(
        "what answers is not understood as a token endpoint",
        "It may be a proxy&#39;s login page, another service at the URL in "
        "<code>zertiban_token_endpoint</code>, or an answer that has changed. "
        "The last failure says what is wrong with it."),

    ngx_zertiban_advice_of(
        "the zone has no room for the token",
        "Make <code>zertiban_zone</code> larger, and reload nginx."),

    ngx_zertiban_advice_of(
        "the token endpoint refuses the newest secret, an older one is used",
        "Calls go on as long as the older one is good: correct the newest, or "
        "create another. In a file of <code>zertiban_credentials_file</code> "
        "it is the first line, and no reload is needed; otherwise reload "
        "nginx."),

    ngx_zertiban_advice_of(
        "the pair in use is past the date in its file",
        "Create a new pair, and put it first in the file; no reload is "
        "needed."),

    ngx_zertiban_advice_of(
        "the pair in use ends in less than 14 days",
        "Create a new pair, and put it first in the file; no reload is "
        "needed."),

    ngx_zertiban_advice_of(
        "the first token is being requested",
        "It should be here within seconds. If it is not, the error log says "
        "what keeps it: connections, open files or memory of nginx itself.")
};


static ngx_zertiban_notice_t  ngx_zertiban_notice_texts[] = {

    { 0, 0, 1, 0, ngx_string("the clock of this machine may be wrong"),
      ngx_zertiban_advice_of(
          "seconds between the clocks of this machine and of the token "
          "endpoint",
          "The date at the top of this page is what this machine takes for "
          "the present: if it is wrong, set the clock and see that it is "
          "kept (NTP, <code>timedatectl</code>). Certificates and dates of "
          "secrets are judged by it, and logs are wrong by it. If it is "
          "right, it is the token endpoint&#39;s that is wrong.") },

    { 0, 0, 1, 0, ngx_string("the token does not reach the API"),
      ngx_zertiban_advice_of(
          "locations whose calls did not carry the token",
          "A <code>proxy_set_header Authorization</code> or "
          "<code>proxy_pass_request_headers off</code> takes it out: the "
          "error log names the location. Remove it, and reload nginx.") },

    { 0, 0, 1, 0, ngx_string("the zone is too small"),
      ngx_zertiban_advice_of(
          "tokens were thrown out of the zone, or had no room in it",
          "Make <code>zertiban_zone</code> larger, and reload nginx: 2 KB "
          "for each credential with a usual token are enough.") },

    { 0, 0, 1, 0, ngx_string("servers may not have the token"),
      ngx_zertiban_advice_of(
          "requests to a server that may not have the token",
          "The token goes to hosts in <code>zertiban_upstream_host</code> "
          "only, over TLS with <code>proxy_ssl_verify on</code>: the error "
          "log names the location, and the line to add.") },

    { 0, 0, 1, 0, ngx_string("the API refuses it"),
      ngx_zertiban_advice_of(
          "answers of the API with status 401 that reached clients",
          "The API refuses tokens that the token endpoint has just given: "
          "the client may lack a permission, "
          "<code>zertiban_tenant_id</code> may be wrong, or the API may be "
          "that of the other environment. No other token would help.") },

    { 0, 0, 1, 0, ngx_string("nginx lacks something itself"),
      ngx_zertiban_advice_of(
          "requests for which a worker process could not request a token",
          "It had too many token requests in flight, or lacks "
          "connections, open files or memory: raise "
          "<code>worker_connections</code> and "
          "<code>worker_rlimit_nofile</code>. The error log says which.") },

    { 0, 0, 0, 0, ngx_null_string,
      ngx_zertiban_advice_of(
          "times the zone was emptied",
          "A process has died while it changed the zone, and all tokens "
          "were requested again. Look for <code>exited on signal</code> in "
          "the error log, and report it.") },

    { 0, 0, 0, 0, ngx_null_string,
      ngx_zertiban_advice_of(
          "requests with a tenant that cannot be used",
          "What <code>zertiban_tenant_id</code> gives for them is empty, "
          "too long, or has characters that a header cannot carry: they "
          "were answered with 400.") },

    { 0, 0, 0, 0, ngx_null_string,
      ngx_zertiban_advice_of(
          "requests with a client id or secret that cannot be used",
          "What <code>zertiban_client_id</code> or "
          "<code>zertiban_client_secret</code> gives for them is empty or "
          "has characters that cannot be sent: they were answered with "
          "400.") }
};


ngx_zertiban_advice_e
ngx_zertiban_advice(ngx_zertiban_entry_t *e)
{
    ngx_zertiban_survey_t  *survey;

    survey = &e->survey;

    if (survey->failures
        || survey->standing == NGX_ZERTIBAN_FAILING
        || survey->standing == NGX_ZERTIBAN_DELAYED)
    {
        return ngx_zertiban_advice_failure(survey);
    }

    if (e->credential == NULL) {
        return NGX_ZERTIBAN_ADVICE_NONE;
    }

    return survey->token ? ngx_zertiban_advice_pair(e)
                         : NGX_ZERTIBAN_ADVICE_STARTS;
}


static ngx_zertiban_advice_e
ngx_zertiban_advice_failure(ngx_zertiban_survey_t *survey)
{
    size_t                       len;
    u_char                      *text;
    ngx_zertiban_advice_sign_t  *sign;

    text = survey->trouble.text;
    len = survey->trouble.time && survey->trouble.error == survey->error
          ? survey->trouble.len : 0;

    for (sign = ngx_zertiban_advice_signs; sign->error; sign++) {

        if (sign->error != survey->error) {
            continue;
        }

        if (sign->text.len == 0
            || (len && ngx_strlcasestrn(text, text + len, sign->text.data,
                                        sign->text.len - 1)))
        {
            break;
        }
    }

    return sign->advice;
}


static ngx_zertiban_advice_e
ngx_zertiban_advice_pair(ngx_zertiban_entry_t *e)
{
    ngx_int_t            days;
    ngx_zertiban_pair_t  pair;

    if (e->fallback) {
        return NGX_ZERTIBAN_ADVICE_FALLBACK;
    }

    if (e->expires == 0) {
        return NGX_ZERTIBAN_ADVICE_NONE;
    }

    pair.expires = e->expires;
    days = ngx_zertiban_pair_days(&pair);

    if (days < 0) {
        return NGX_ZERTIBAN_ADVICE_EXPIRED;
    }

    return (days < NGX_ZERTIBAN_PAIR_DAYS)
           ? NGX_ZERTIBAN_ADVICE_EXPIRES
                       : NGX_ZERTIBAN_ADVICE_NONE;
}


void
ngx_zertiban_notices(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notices)
{
    time_t                   *refused;
    ngx_zertiban_ledger_t    *ledger;
    ngx_zertiban_counters_t  *counters;

    ngx_memcpy(notices, ngx_zertiban_notice_texts,
               sizeof(ngx_zertiban_notice_texts));

    counters = &model->counters;
    ledger = &model->ledger;
    refused = ledger->refused;

    notices[0].n = model->clocks;
    notices[0].recent = 1;

    ngx_zertiban_notice(model, &notices[1], counters->missing,
                        ledger->missing);

    /* said once, of what stays so until there is another configuration */

    if (ledger->missing >= model->zmcf->loaded) {
        notices[1].n = counters->missing;
        notices[1].recent = 1;
    }

    ngx_zertiban_notice(model, &notices[2],
                        model->info.evictions
                        + counters->refused[NGX_ZERTIBAN_ZONE_FULL],
                        ngx_max(ledger->evicted,
                                refused[NGX_ZERTIBAN_ZONE_FULL]));
    ngx_zertiban_notice(model, &notices[3],
                        counters->refused[NGX_ZERTIBAN_UPSTREAM_REFUSED],
                        refused[NGX_ZERTIBAN_UPSTREAM_REFUSED]);
    ngx_zertiban_notice(model, &notices[4], counters->passed, ledger->passed);
    ngx_zertiban_notice(model, &notices[5],
                        counters->refused[NGX_ZERTIBAN_BUSY],
                        refused[NGX_ZERTIBAN_BUSY]);
    ngx_zertiban_notice(model, &notices[6], model->info.resets,
                        ledger->emptied);
    ngx_zertiban_notice(model, &notices[7],
                        counters->refused[NGX_ZERTIBAN_BAD_TENANT],
                        refused[NGX_ZERTIBAN_BAD_TENANT]);
    ngx_zertiban_notice(model, &notices[8],
                        counters->refused[NGX_ZERTIBAN_BAD_CREDENTIAL],
                        refused[NGX_ZERTIBAN_BAD_CREDENTIAL]);
}


/* what was over for a day is of no interest, nor for an hour to the verdict */

static void
ngx_zertiban_notice(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notice, ngx_uint_t n, time_t last)
{
    time_t  ago;

    ago = (time_t) (model->now / 1000) - last;

    notice->n = (ago < NGX_ZERTIBAN_NOTICE_DAY) ? n : 0;
    notice->last = last;
    notice->recent = (ago < NGX_ZERTIBAN_NOTICE_HOUR);
}
