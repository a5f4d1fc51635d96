
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A file of pairs.
 */


#include "fuzz.h"

#include "ngx_zertiban_pairs.h"


/* what a second reader makes of it */

typedef struct {
    ngx_str_t    id;
    ngx_str_t    secret;
    ngx_str_t    date;
} fuzz_pair_t;


typedef struct {
    fuzz_pair_t  pairs[NGX_ZERTIBAN_PAIRS_MAX];
    ngx_uint_t   n;
    ngx_uint_t   bad;             /* the line that is, or 0 */
    ngx_uint_t   many;            /* the line with one pair too many, or 0 */
} fuzz_file_t;


static ngx_uint_t fuzz_mark(ngx_str_t *input);
static void fuzz_read(ngx_str_t *input, fuzz_file_t *f);
static ngx_uint_t fuzz_line_is_bad(ngx_str_t *words, ngx_uint_t n);
static ngx_uint_t fuzz_text_is_bad(ngx_str_t *s, ngx_uint_t colon);
static ngx_uint_t fuzz_date_is_bad(ngx_str_t *date);
static ngx_uint_t fuzz_number(ngx_str_t *s, size_t from, size_t n);


void
fuzz_run(ngx_pool_t *pool, ngx_str_t *input)
{
    u_char                     data[NGX_ZERTIBAN_PAIRS_ERROR];
    ngx_int_t                  rc;
    ngx_str_t                  copy, err;
    ngx_uint_t                 i;
    fuzz_file_t                f;
    ngx_zertiban_pair_t       *pair;
    ngx_zertiban_pair_list_t   list;

    copy = fuzz_copy(pool, input);

    err.data = data;
    err.len = 0;

    rc = ngx_zertiban_pairs_parse(&list, copy.data, copy.len, &err);

    if (fuzz_mark(input)) {
        fuzz_check(rc == NGX_ERROR);
        return;
    }

    fuzz_read(input, &f);

    fuzz_check((rc == NGX_OK) == (f.n && !f.bad && !f.many));

    if (rc != NGX_OK) {
        fuzz_check(err.len && err.len <= NGX_ZERTIBAN_PAIRS_ERROR);
        return;
    }

    fuzz_check(list.tags.n == f.n);
    fuzz_check(list.tags.all != 0);

    for (i = 0; i < f.n; i++) {
        pair = &list.elts[i];

        fuzz_check(fuzz_str_eq(&pair->id, &f.pairs[i].id));
        fuzz_check(fuzz_str_eq(&pair->secret, &f.pairs[i].secret));
        fuzz_check((pair->expires != 0) == (f.pairs[i].date.len != 0)
                   || ngx_strncmp(f.pairs[i].date.data, "1970-01-01", 10)
                      == 0);
        fuzz_check(list.tags.pairs[i] != 0);

        /* it points into what was read */

        fuzz_check(pair->secret.data >= copy.data
                   && pair->secret.data + pair->secret.len
                      <= copy.data + copy.len);
    }
}


/* UTF-8, and UTF-16 of either order */

static ngx_uint_t
fuzz_mark(ngx_str_t *input)
{
    ngx_uint_t  first, second;

    if (input->len < 2) {
        return 0;
    }

    first = input->data[0];
    second = input->data[1];

    return first + second == 0xff + 0xfe
           || (input->len > 2 && first == 0xef && second == 0xbb
               && input->data[2] == 0xbf);
}


static void
fuzz_read(ngx_str_t *input, fuzz_file_t *f)
{
    size_t       i, start;
    ngx_str_t    words[4];
    ngx_uint_t   n, line, k;

    ngx_memzero(f, sizeof(fuzz_file_t));

    n = 0;
    line = 1;
    start = 0;

    for (i = 0; i <= input->len; i++) {

        if (i < input->len
            && ngx_strlchr((u_char *) " \t\n", (u_char *) " \t\n" + 3,
                           input->data[i])
               == NULL)
        {
            continue;
        }

        /* a word ends here, if there is one */

        if (i > start) {
            words[ngx_min(n, 3)].data = input->data + start;
            words[ngx_min(n, 3)].len = i - start;

            if ((i == input->len || input->data[i] == '\n')
                && input->data[i - 1] == '\r')
            {
                words[ngx_min(n, 3)].len--;
            }

            n += (words[ngx_min(n, 3)].len != 0);
        }

        start = i + 1;

        if (i < input->len && input->data[i] != '\n') {
            continue;
        }

        if (n && words[0].data[0] != '#' && !f->bad && !f->many) {

            for (k = 0; k < f->n; k++) {
                if (n > 1 && fuzz_str_eq(&f->pairs[k].id, &words[0])
                    && fuzz_str_eq(&f->pairs[k].secret, &words[1]))
                {
                    break;
                }
            }

            if (fuzz_line_is_bad(words, n)) {
                f->bad = line;

            } else if (k < f->n) {

                /* it was there before */

            } else if (f->n == NGX_ZERTIBAN_PAIRS_MAX) {
                f->many = line;

            } else {
                f->pairs[f->n].id = words[0];
                f->pairs[f->n].secret = words[1];

                if (n > 2) {
                    f->pairs[f->n].date = words[2];
                }

                f->n++;
            }
        }

        n = 0;
        line++;
    }
}


static ngx_uint_t
fuzz_line_is_bad(ngx_str_t *words, ngx_uint_t n)
{
    return n < 2 || n > 3
           || fuzz_text_is_bad(&words[0], 1)
           || fuzz_text_is_bad(&words[1], 0)
           || words[1].len > 4096
           || (n == 3 && fuzz_date_is_bad(&words[2]));
}


static ngx_uint_t
fuzz_text_is_bad(ngx_str_t *s, ngx_uint_t colon)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < ' ' || s->data[i] == 127
            || (colon && s->data[i] == ':'))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
fuzz_date_is_bad(ngx_str_t *date)
{
    ngx_uint_t  year, month, day, leap;

    static ngx_uint_t  days[] = { 31, 28, 31, 30, 31, 30,
                                  31, 31, 30, 31, 30, 31 };

    if (date->len != 10 || date->data[4] != '-' || date->data[7] != '-') {
        return 1;
    }

    year = fuzz_number(date, 0, 4);
    month = fuzz_number(date, 5, 2);
    day = fuzz_number(date, 8, 2);

    if (year > 9999 || year < 1970 || month < 1 || month > 12 || day < 1) {
        return 1;
    }

    leap = (month == 2 && year % 4 == 0
            && (year % 100 != 0 || year % 400 == 0));

    return day > days[month - 1] + leap;
}


static ngx_uint_t
fuzz_number(ngx_str_t *s, size_t from, size_t n)
{
    size_t      i;
    ngx_uint_t  number;

    number = 0;

    for (i = from; i < from + n; i++) {

        if (s->data[i] < '0' || s->data[i] > '9') {
            return 10000;
        }

        number = number * 10 + s->data[i] - '0';
    }

    return number;
}
