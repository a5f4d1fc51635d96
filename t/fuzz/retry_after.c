
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Retry-After: a line with the present time, and the value.
 */


#include "fuzz.h"

#include "ngx_zertiban_response.h"


static time_t fuzz_expected(ngx_str_t *value, time_t now);
static ngx_uint_t fuzz_date(ngx_str_t *value, time_t *t);
static void fuzz_round_trip(time_t t, time_t now);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    time_t      t, now, expected;
    uint32_t    seed;
    ngx_str_t   line, value;

    line = fuzz_line(input);

    now = ngx_atotm(line.data, ngx_min(line.len, 10));

    if (now == NGX_ERROR) {
        now = FUZZ_NOW;
    }

    value = fuzz_copy(pool, input);

    t = ngx_zertiban_retry_after(value.data, value.len, now);

    fuzz_check(t >= -1 && t <= NGX_ZERTIBAN_DELAY_MAX);

    expected = fuzz_expected(&value, now);

    fuzz_check(expected == NGX_DECLINED || t == expected);

    seed = fuzz_seed(&value);

    fuzz_round_trip(now + fuzz_random(&seed, 900) - 300, now);
}


/* NGX_DECLINED if it is no date by the book */

static time_t
fuzz_expected(ngx_str_t *value, time_t now)
{
    time_t  t;
    size_t  i;

    t = 0;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }

        t = ngx_min(10 * t + (value->data[i] - '0'), NGX_ZERTIBAN_DELAY_MAX);
    }

    if (value->len == 0) {
        return -1;
    }

    if (i == value->len) {
        return t;
    }

    if (!fuzz_date(value, &t)) {
        return NGX_DECLINED;
    }

    if (t <= now) {
        return 0;
    }

    return ngx_min(t - now, NGX_ZERTIBAN_DELAY_MAX);
}


/* what the library's own functions make of it, and back */

static ngx_uint_t
fuzz_date(ngx_str_t *value, time_t *t)
{
    char         text[64], back[64];
    struct tm    tm;
    ngx_uint_t   i;

    static const char  *formats[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y"
    };

    if (value->len >= sizeof(text)) {
        return 0;
    }

    (void) ngx_cpystrn((u_char *) text, value->data, value->len + 1);

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {

        ngx_memzero(&tm, sizeof(struct tm));

        if (strptime(text, formats[i], &tm) == NULL) {
            continue;
        }

        *t = timegm(&tm);

        /* equal only if nothing is out of range, left out, or too much */

        if (gmtime_r(t, &tm) == NULL
            || strftime(back, sizeof(back), formats[i], &tm) != value->len
            || ngx_memcmp(back, value->data, value->len) != 0)
        {
            continue;
        }

        /* the formats have years of 2 and 4 digits, RFC 850 its own pivot */

        if (tm.tm_year >= 70 && tm.tm_year < 1100
            && (i != 1 || tm.tm_year < 169))
        {
            return 1;
        }
    }

    return 0;
}


static void
fuzz_round_trip(time_t t, time_t now)
{
    char       text[64];
    size_t     len;
    time_t     after;
    struct tm  tm;

    if (t < 0 || gmtime_r(&t, &tm) == NULL) {
        return;
    }

    len = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);

    after = ngx_zertiban_retry_after((u_char *) text, len, now);

    if (t <= now) {
        fuzz_check(after == 0);

    } else {
        fuzz_check(after == ngx_min(t - now, NGX_ZERTIBAN_DELAY_MAX));
    }
}
