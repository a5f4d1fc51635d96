
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What all pages for people have in common.
 */


#include "ngx_zertiban_frame.h"

#include <openssl/evp.h>


#define NGX_ZERTIBAN_FRAME_HASH_LEN   44   /* of SHA-256 in base64 */

#define NGX_ZERTIBAN_POLICY                                                   \
    "default-src 'none'; style-src 'sha256-%V'; form-action 'self'; "         \
    "base-uri 'none'; frame-ancestors 'none'"


/* also without it all can be read */

static ngx_str_t  ngx_zertiban_frame_style = ngx_string(
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1f2328;--soft:#59636e;"
    "--line:#d1d9e0;--box:#f6f8fa;--good:#1a7f37;--care:#8a5a00;--bad:#c11c28}"
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;"
    "--soft:#9aa4af;--line:#30363d;--box:#161b22;--good:#4cc262;"
    "--care:#e0a72e;--bad:#ff7b72}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:80rem;"
    "background:var(--bg);color:var(--fg);"
    "font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}"
    "h1{font-size:1.5rem;line-height:1.3;margin:0 0 .3rem;padding-left:.7rem;"
    "border-left:.35rem solid}"
    "h2{font-size:1.1rem;margin:2rem 0 .5rem}"
    "small,.about,caption,dt{color:var(--soft)}"
    "small{font-size:.85em}"
    ".about{margin:0;padding-left:1.05rem;font-size:.9rem}"
    ".good{color:var(--good)}.care{color:var(--care)}.bad{color:var(--bad)}"
    "code{font:.9em ui-monospace,monospace}"
    ".todo{margin:0;padding:0;list-style:none}"
    ".todo li{margin:.6rem 0;padding:.7rem 1rem;background:var(--box);"
    "border:1px solid var(--line);border-radius:.4rem}"
    ".todo p{margin:.2rem 0 0}"
    "table{width:100%;border-collapse:collapse;"
    "font-variant-numeric:tabular-nums}"
    "th,td{padding:.5rem .6rem;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line)}"
    "thead th{color:var(--soft);font-size:.85rem;font-weight:600}"
    "tbody th{font-weight:600}tbody th small{font-weight:400}"
    ".state{font-weight:600;min-width:6.5rem}.n{white-space:nowrap}"
    "tbody th,td:last-child{overflow-wrap:anywhere;min-width:11rem}"
    "button{font:inherit;font-size:.85rem;padding:.15rem .6rem}"
    "form{margin:.3rem 0 0}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;"
    "margin:0}dd{margin:0}"
    "@media(max-width:50rem){thead{position:absolute;left:-999rem}"
    "tr{display:block;padding:.7rem 0;border-bottom:1px solid var(--line)}"
    "tbody th,td{display:block;padding:.1rem 0;border:0}"
    ".n{white-space:normal}"
    "td[data-of]::before{content:attr(data-of)\": \";color:var(--soft);"
    "font-weight:400}dl{grid-template-columns:1fr;gap:0}"
    "dd{margin:0 0 .4rem 1rem}}");


static u_char  ngx_zertiban_frame_policy_data[sizeof(NGX_ZERTIBAN_POLICY)
                                             + NGX_ZERTIBAN_FRAME_HASH_LEN];

ngx_str_t  ngx_zertiban_frame_policy;


ngx_int_t
ngx_zertiban_frame_init(void)
{
    u_char        digest[EVP_MAX_MD_SIZE];
    u_char        base64[ngx_base64_encoded_length(EVP_MAX_MD_SIZE)];
    ngx_str_t     from, to, *style, *policy;
    unsigned int  len;

    style = &ngx_zertiban_frame_style;
    policy = &ngx_zertiban_frame_policy;

    if (EVP_Digest(style->data, style->len, digest, &len, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    from.data = digest;
    from.len = len;
    to.data = base64;

    ngx_encode_base64(&to, &from);

    policy->data = ngx_zertiban_frame_policy_data;
    policy->len = ngx_sprintf(policy->data, NGX_ZERTIBAN_POLICY, &to)
                  - policy->data;

    return NGX_OK;
}


void
ngx_zertiban_frame_head(ngx_zertiban_out_t *out, ngx_str_t *title,
    ngx_uint_t refresh)
{
    ngx_zertiban_out_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                               "<meta charset=\"utf-8\">\n");

    if (refresh) {
        ngx_zertiban_out(out, "<meta http-equiv=\"refresh\" content=\"%ui\">\n",
                         refresh);
    }

    ngx_zertiban_out_text(out, "<meta name=\"viewport\" "
                               "content=\"width=device-width\">\n<title>");
    ngx_zertiban_out_html(out, title);
    ngx_zertiban_out_text(out, " – zertiban – ");
    ngx_zertiban_out_html(out, (ngx_str_t *) &ngx_cycle->hostname);

    ngx_zertiban_out_text(out, "</title>\n<style>");
    ngx_zertiban_out_data(out, ngx_zertiban_frame_style.data,
                          ngx_zertiban_frame_style.len);
    ngx_zertiban_out_text(out, "</style>\n</head>\n<body>\n");
}


void
ngx_zertiban_frame_tail(ngx_zertiban_out_t *out)
{
    ngx_zertiban_out_text(out, "</body>\n</html>\n");
}


/* with its two largest units */

void
ngx_zertiban_frame_span(ngx_zertiban_out_t *out, ngx_msec_t msec)
{
    ngx_msec_t  s;

    s = msec / 1000;

    if (s < 1) {
        ngx_zertiban_out_text(out, "under 1 s");

    } else if (s < 60) {
        ngx_zertiban_out(out, "%M s", s);

    } else if (s < 3600) {
        ngx_zertiban_out(out, "%M min %02M s", s / 60, s % 60);

    } else if (s < 86400) {
        ngx_zertiban_out(out, "%M h %02M min", s / 3600, s / 60 % 60);

    } else {
        ngx_zertiban_out(out, "%M d %M h", s / 86400, s / 3600 % 24);
    }
}


/* 1,024 */

void
ngx_zertiban_frame_number(ngx_zertiban_out_t *out, ngx_uint_t n)
{
    u_char  *p;
    size_t   i, len;
    u_char   digits[NGX_INT_T_LEN];

    p = ngx_sprintf(digits, "%ui", n);
    len = p - digits;

    for (i = 0; i < len; i++) {

        if (i && (len - i) % 3 == 0) {
            ngx_zertiban_out_text(out, ",");
        }

        ngx_zertiban_out_data(out, &digits[i], 1);
    }
}


void
ngx_zertiban_frame_date(ngx_zertiban_out_t *out, time_t t)
{
    ngx_tm_t  tm;

    static char  *months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                               "Aug", "Sep", "Oct", "Nov", "Dec" };

    ngx_gmtime(t, &tm);

    ngx_zertiban_out(out, "%d %s %d %02d:%02d:%02d UTC", tm.ngx_tm_mday,
                     months[tm.ngx_tm_mon - 1], tm.ngx_tm_year,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);
}
