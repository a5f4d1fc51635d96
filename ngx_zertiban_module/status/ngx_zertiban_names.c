
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * How all formats name what they show.
 */


#include "ngx_zertiban_names.h"
#include "ngx_zertiban_gate.h"


static ngx_str_t  ngx_zertiban_standings[] = {
    ngx_string("empty"),
    ngx_string("fetching"),
    ngx_string("valid"),
    ngx_string("refreshing"),
    ngx_string("delayed"),
    ngx_string("failing")
};

static ngx_str_t  ngx_zertiban_ok = ngx_string("ok");


ngx_str_t *
ngx_zertiban_standing_name(ngx_uint_t standing)
{
    return &ngx_zertiban_standings[standing];
}


ngx_str_t *
ngx_zertiban_outcome_name(ngx_uint_t error)
{
    if (error == NGX_ZERTIBAN_OK) {
        return &ngx_zertiban_ok;
    }

    return ngx_zertiban_error_name((ngx_zertiban_error_e) error);
}


void
ngx_zertiban_out_moment(ngx_zertiban_out_t *out, int64_t msec)
{
    ngx_zertiban_out(out, "%L.%03L", msec / 1000, msec % 1000);
}


void
ngx_zertiban_out_bound(ngx_zertiban_out_t *out, ngx_msec_t msec)
{
    ngx_msec_t  rest;

    rest = msec % 1000;

    if (rest == 0) {
        ngx_zertiban_out(out, "%M", msec / 1000);

    } else if (rest % 100 == 0) {
        ngx_zertiban_out(out, "%M.%M", msec / 1000, rest / 100);

    } else if (rest % 10 == 0) {
        ngx_zertiban_out(out, "%M.%02M", msec / 1000, rest / 10);

    } else {
        ngx_zertiban_out(out, "%M.%03M", msec / 1000, rest);
    }
}


void
ngx_zertiban_out_date(ngx_zertiban_out_t *out, time_t t)
{
    ngx_tm_t  tm;

    ngx_gmtime(t, &tm);

    ngx_zertiban_out(out, "%4d-%02d-%02d", tm.ngx_tm_year, tm.ngx_tm_mon,
                     tm.ngx_tm_mday);
}


void
ngx_zertiban_out_fingerprint(ngx_zertiban_out_t *out, u_char *key)
{
    u_char  text[2 * NGX_ZERTIBAN_FINGERPRINT_LEN];

    (void) ngx_hex_dump(text, NGX_ZERTIBAN_FINGERPRINT(key),
                        NGX_ZERTIBAN_FINGERPRINT_LEN);

    ngx_zertiban_out_data(out, text, sizeof(text));
}
