
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The pairs of client id and secret that a credential of the configuration is
 * asked for with, and the file that they may be in.
 */


#include "ngx_zertiban_pairs.h"
#include "ngx_zertiban_secret.h"


#define NGX_ZERTIBAN_DAY  86400    /* s */


static ngx_int_t ngx_zertiban_pairs_append(ngx_zertiban_pair_list_t *list,
    ngx_zertiban_pair_t *pair);
static ngx_int_t ngx_zertiban_pairs_digest(ngx_zertiban_pair_list_t *list);
static ngx_int_t ngx_zertiban_pairs_line(ngx_zertiban_pair_list_t *list,
    ngx_str_t *line, ngx_str_t *err);
static ngx_int_t ngx_zertiban_pairs_words(ngx_zertiban_pair_t *pair,
    ngx_str_t *date, ngx_str_t *rest, ngx_str_t *err);
static ngx_str_t ngx_zertiban_pairs_word(ngx_str_t *line);
static time_t ngx_zertiban_pairs_date(ngx_str_t *date);
static ngx_int_t ngx_zertiban_pairs_fail(ngx_str_t *err, const char *what,
    const char *text);


ngx_zertiban_pairs_t *
ngx_zertiban_pairs_create(ngx_pool_t *pool, ngx_str_t *file)
{
    ngx_zertiban_pairs_t  *pairs;

    pairs = ngx_pcalloc(pool, sizeof(ngx_zertiban_pairs_t));
    if (pairs == NULL) {
        return NULL;
    }

    if (file == NULL) {
        return pairs;
    }

    pairs->file = *file;

    /* one byte more shows that there is too much */

    pairs->buf = ngx_palloc(pool, 2 * (size_t) (NGX_ZERTIBAN_PAIRS_SIZE + 1));
    if (pairs->buf == NULL) {
        return NULL;
    }

    pairs->other = pairs->buf + NGX_ZERTIBAN_PAIRS_SIZE + 1;

    return pairs;
}


ngx_zertiban_pairs_t *
ngx_zertiban_pairs_copy(ngx_pool_t *pool, ngx_zertiban_pairs_t *pairs)
{
    ngx_uint_t             i;
    ngx_zertiban_pair_t   *pair;
    ngx_zertiban_pairs_t  *copy;

    copy = ngx_zertiban_pairs_create(pool, &pairs->file);
    if (copy == NULL) {
        return NULL;
    }

    ngx_memcpy(copy->buf, pairs->buf, NGX_ZERTIBAN_PAIRS_SIZE + 1);

    copy->list = pairs->list;
    copy->id = pairs->id;
    copy->good = pairs->good;
    copy->unread = pairs->unread;

    for (i = 0; i < copy->list.tags.n; i++) {
        pair = &copy->list.elts[i];

        pair->id.data = copy->buf + (pair->id.data - pairs->buf);
        pair->secret.data = copy->buf + (pair->secret.data - pairs->buf);
    }

    return copy;
}


ngx_int_t
ngx_zertiban_pairs_add(ngx_zertiban_pairs_t *pairs, ngx_str_t *id,
    ngx_str_t *secret, time_t written)
{
    ngx_int_t             rc;
    ngx_zertiban_pair_t   pair;

    pair.id = *id;
    pair.secret = *secret;
    pair.expires = 0;
    pair.written = written;

    rc = ngx_zertiban_pairs_append(&pairs->list, &pair);

    if (rc == NGX_OK) {
        rc = ngx_zertiban_pairs_digest(&pairs->list);
    }

    return rc;
}


static ngx_int_t
ngx_zertiban_pairs_append(ngx_zertiban_pair_list_t *list,
    ngx_zertiban_pair_t *pair)
{
    ngx_uint_t           i, n;
    ngx_zertiban_tag_t   tag;

    if (ngx_zertiban_identity_tag(&pair->id, &pair->secret, &tag) != NGX_OK) {
        return NGX_ERROR;
    }

    n = list->tags.n;

    for (i = 0; i < n; i++) {
        if (list->tags.pairs[i] == tag) {
            return NGX_DECLINED;
        }
    }

    if (n == NGX_ZERTIBAN_PAIRS_MAX) {
        return NGX_ABORT;
    }

    list->elts[n] = *pair;
    list->tags.pairs[n] = tag;
    list->tags.n++;

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_pairs_digest(ngx_zertiban_pair_list_t *list)
{
    ngx_str_t  tags, none;

    tags.len = list->tags.n * sizeof(ngx_zertiban_tag_t);
    tags.data = (u_char *) list->tags.pairs;

    ngx_str_null(&none);

    return ngx_zertiban_identity_tag(&tags, &none, &list->tags.all);
}


ngx_int_t
ngx_zertiban_pairs_read(ngx_zertiban_pairs_t *pairs, ngx_str_t *err)
{
    char                      *text;
    u_char                    *buf;
    ssize_t                    n;
    ngx_err_t                  no;
    ngx_zertiban_pair_list_t   list;

    buf = pairs->other;

    pairs->unread = 1;

    n = ngx_zertiban_file_read(&pairs->file, buf, NGX_ZERTIBAN_PAIRS_SIZE + 1,
                               &pairs->id, &text, &no);

    if (n < 0 && ngx_zertiban_file_same(&pairs->id, &pairs->good)) {

        /* master may have read it, and the worker cannot */

        return NGX_OK;
    }

    if (n < 0) {
        (void) ngx_zertiban_pairs_fail(err, text, "");
        ngx_set_errno(no);
        return no ? NGX_DECLINED : NGX_ERROR;
    }

    if (ngx_zertiban_pairs_parse(&list, buf, n, err) != NGX_OK) {
        ngx_explicit_memzero(buf, n);
        return NGX_ERROR;
    }

    pairs->unread = ngx_zertiban_file_young(&pairs->id) ? 1 : 0;

    if (pairs->list.tags.all != list.tags.all) {
        pairs->changed = 1;
    }

    pairs->good = pairs->id;
    pairs->list = list;
    pairs->other = pairs->buf;
    pairs->buf = buf;

    ngx_explicit_memzero(pairs->other, NGX_ZERTIBAN_PAIRS_SIZE + 1);

    return NGX_OK;
}


ngx_uint_t
ngx_zertiban_pairs_stale(ngx_zertiban_pairs_t *pairs)
{
    ngx_zertiban_file_id_t  id;

    if (pairs->unread) {
        return 1;
    }

    ngx_zertiban_file_identify(&pairs->file, &id);

    return !ngx_zertiban_file_same(&pairs->id, &id);
}


ngx_zertiban_tag_t
ngx_zertiban_pairs_seen(ngx_zertiban_pairs_t *pairs)
{
    ngx_zertiban_file_id_t  *id;

    id = &pairs->id;

    /* few files follow each other: they need not be told apart for certain */

    return (ngx_zertiban_tag_t) 1
           + (ngx_zertiban_tag_t) id->err
           + (ngx_zertiban_tag_t) id->uniq * 31
           + (ngx_zertiban_tag_t) id->size * 1009
           + (ngx_zertiban_tag_t) id->mtime.tv_sec * 1000003
           + (ngx_zertiban_tag_t) id->mtime.tv_nsec * 1000000007;
}


ngx_int_t
ngx_zertiban_pairs_parse(ngx_zertiban_pair_list_t *list, u_char *buf,
    size_t len, ngx_str_t *err)
{
    char        *bom;
    u_char      *p;
    ngx_str_t    rest, line;
    ngx_uint_t   n;

    ngx_memzero(list, sizeof(ngx_zertiban_pair_list_t));

    if (len > NGX_ZERTIBAN_PAIRS_SIZE) {
        return ngx_zertiban_pairs_fail(err, "has more than 16384 bytes", "");
    }

    rest.len = len;
    rest.data = buf;

    bom = ngx_zertiban_secret_bom(&rest);

    if (bom) {
        return ngx_zertiban_pairs_fail(err, bom, "");
    }

    for (n = 1; rest.len; n++) {

        line = rest;

        p = ngx_strlchr(rest.data, rest.data + rest.len, LF);

        if (p) {
            line.len = p - rest.data;
            p++;

        } else {
            p = rest.data + rest.len;
        }

        rest.len -= p - rest.data;
        rest.data = p;

        if (ngx_zertiban_pairs_line(list, &line, err) != NGX_OK) {
            err->len = ngx_sprintf(err->data + err->len, ", in its line %ui",
                                   n)
                       - err->data;
            return NGX_ERROR;
        }
    }

    if (list->tags.n == 0) {
        return ngx_zertiban_pairs_fail(err, "has no pair of a client id and "
                                            "a secret", "");
    }

    if (ngx_zertiban_pairs_digest(list) != NGX_OK) {
        return ngx_zertiban_pairs_fail(err, "cannot be digested", "");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_zertiban_pairs_line(ngx_zertiban_pair_list_t *list, ngx_str_t *line,
    ngx_str_t *err)
{
    ngx_str_t            date, rest;
    ngx_zertiban_pair_t  pair;

    if (line->len && line->data[line->len - 1] == CR) {
        line->len--;
    }

    pair.id = ngx_zertiban_pairs_word(line);

    if (pair.id.len == 0 || pair.id.data[0] == '#') {
        return NGX_OK;
    }

    pair.secret = ngx_zertiban_pairs_word(line);
    date = ngx_zertiban_pairs_word(line);
    rest = ngx_zertiban_pairs_word(line);

    if (ngx_zertiban_pairs_words(&pair, &date, &rest, err) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (ngx_zertiban_pairs_append(list, &pair)) {

    case NGX_OK:
    case NGX_DECLINED:
        return NGX_OK;

    case NGX_ABORT:
        return ngx_zertiban_pairs_fail(err, "has more than 8 pairs", "");

    default: /* NGX_ERROR */
        return ngx_zertiban_pairs_fail(err, "cannot be digested", "");
    }
}


static ngx_int_t
ngx_zertiban_pairs_words(ngx_zertiban_pair_t *pair, ngx_str_t *date,
    ngx_str_t *rest, ngx_str_t *err)
{
    char  *text;

    if (pair->secret.len == 0) {
        return ngx_zertiban_pairs_fail(err, "has no secret behind the client "
                                            "id", "");
    }

    text = ngx_zertiban_client_id_check(&pair->id);

    if (text) {
        return ngx_zertiban_pairs_fail(err, "has a client id that ", text);
    }

    text = ngx_zertiban_secret_check(&pair->secret);

    if (text) {
        return ngx_zertiban_pairs_fail(err, "has a secret that ", text);
    }

    pair->expires = 0;
    pair->written = 0;

    if (date->len) {
        pair->expires = ngx_zertiban_pairs_date(date);

        if (pair->expires == NGX_ERROR) {
            return ngx_zertiban_pairs_fail(err, "has something behind the "
                                   "secret that is no date YYYY-MM-DD", "");
        }
    }

    if (rest->len) {
        return ngx_zertiban_pairs_fail(err, "has something behind the date",
                                       "");
    }

    return NGX_OK;
}


/* takes the next word off the line; it is empty if there is none */

static ngx_str_t
ngx_zertiban_pairs_word(ngx_str_t *line)
{
    ngx_str_t  word;

    while (line->len && (*line->data == ' ' || *line->data == '\t')) {
        line->len--;
        line->data++;
    }

    word.data = line->data;

    while (line->len && *line->data != ' ' && *line->data != '\t') {
        line->len--;
        line->data++;
    }

    word.len = line->data - word.data;

    return word;
}


/* nginx knows how many days a month has, in a date of HTTP */

static time_t
ngx_zertiban_pairs_date(ngx_str_t *date)
{
    u_char     *p, buf[sizeof("Mon, 28 Sep 1970 00:00:00 GMT")];
    ngx_int_t   year, month, day;

    static char  *months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

    if (date->len != sizeof("1970-09-28") - 1
        || date->data[4] != '-' || date->data[7] != '-')
    {
        return NGX_ERROR;
    }

    year = ngx_atoi(date->data, 4);
    month = ngx_atoi(date->data + 5, 2);
    day = ngx_atoi(date->data + 8, 2);

    if (year < 1970 || month < 1 || month > 12 || day < 1) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(buf, "Mon, %02i %s %04i 00:00:00 GMT", day,
                    months[month - 1], year);

    return ngx_parse_http_time(buf, p - buf);
}


ngx_int_t
ngx_zertiban_pair_days(ngx_zertiban_pair_t *pair)
{
    return (ngx_int_t) (pair->expires / NGX_ZERTIBAN_DAY
                        - ngx_time() / NGX_ZERTIBAN_DAY);
}


static ngx_int_t
ngx_zertiban_pairs_fail(ngx_str_t *err, const char *what, const char *text)
{
    err->len = ngx_snprintf(err->data, NGX_ZERTIBAN_PAIRS_ERROR - 32, "%s%s",
                            what, text)
               - err->data;

    return NGX_ERROR;
}
