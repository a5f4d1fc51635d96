
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#include "fuzz_json.h"


typedef struct {
    ngx_pool_t   *pool;
    u_char       *p;
    u_char       *last;
    ngx_uint_t    depth;
    fuzz_json_t  *json;
    unsigned      beyond:1;
} fuzz_json_reader_t;


static ngx_int_t fuzz_json_value(fuzz_json_reader_t *rd,
    fuzz_json_value_t *value);
static ngx_int_t fuzz_json_list(fuzz_json_reader_t *rd, u_char end);
static ngx_int_t fuzz_json_member(fuzz_json_reader_t *rd);
static fuzz_json_value_t *fuzz_json_place(fuzz_json_reader_t *rd,
    ngx_str_t *name);
static ngx_int_t fuzz_json_word(fuzz_json_reader_t *rd, const char *word);
static ngx_int_t fuzz_json_number(fuzz_json_reader_t *rd, double *number);
static ngx_uint_t fuzz_json_digits(fuzz_json_reader_t *rd);
static ngx_int_t fuzz_json_string(fuzz_json_reader_t *rd, ngx_str_t *s);
static ngx_int_t fuzz_json_escape(fuzz_json_reader_t *rd, uint32_t *code);
static ngx_int_t fuzz_json_hex(fuzz_json_reader_t *rd, uint32_t *code);
static u_char *fuzz_json_utf8(u_char *p, uint32_t code);
static void fuzz_json_space(fuzz_json_reader_t *rd);
static ngx_uint_t fuzz_json_next(fuzz_json_reader_t *rd, u_char ch);


ngx_int_t
fuzz_json_read(ngx_pool_t *pool, ngx_str_t *text, fuzz_json_t *json)
{
    fuzz_json_reader_t  rd;

    ngx_memzero(&rd, sizeof(fuzz_json_reader_t));
    ngx_memzero(json, sizeof(fuzz_json_t));

    rd.pool = pool;
    rd.p = text->data;
    rd.last = text->data + text->len;
    rd.json = json;

    fuzz_json_space(&rd);

    if (fuzz_json_value(&rd, &json->top) != NGX_OK) {
        return rd.beyond ? NGX_DECLINED : NGX_ERROR;
    }

    fuzz_json_space(&rd);

    if (rd.p != rd.last) {
        return NGX_ERROR;
    }

    return rd.beyond ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
fuzz_json_value(fuzz_json_reader_t *rd, fuzz_json_value_t *value)
{
    if (rd->p == rd->last) {
        return NGX_ERROR;
    }

    value->type = FUZZ_JSON_OTHER;

    switch (*rd->p) {

    case '{':
        value->type = FUZZ_JSON_OBJECT;
        return fuzz_json_list(rd, '}');

    case '[':
        return fuzz_json_list(rd, ']');

    case '"':
        value->type = FUZZ_JSON_STRING;
        return fuzz_json_string(rd, &value->string);

    case 't':
        return fuzz_json_word(rd, "true");

    case 'f':
        value->type = FUZZ_JSON_FALSE;
        return fuzz_json_word(rd, "false");

    case 'n':
        value->type = FUZZ_JSON_NULL;
        return fuzz_json_word(rd, "null");

    default:
        value->type = FUZZ_JSON_NUMBER;
        return fuzz_json_number(rd, &value->number);
    }
}


static ngx_int_t
fuzz_json_list(fuzz_json_reader_t *rd, u_char end)
{
    ngx_int_t          rc;
    fuzz_json_value_t  value;

    if (++rd->depth > 1000) {
        rd->beyond = 1;
        return NGX_ERROR;
    }

    rd->p++;
    fuzz_json_space(rd);

    if (fuzz_json_next(rd, end)) {
        rd->depth--;
        return NGX_OK;
    }

    do {
        fuzz_json_space(rd);

        rc = (end == '}') ? fuzz_json_member(rd)
                          : fuzz_json_value(rd, &value);

        if (rc != NGX_OK) {
            return rc;
        }

        fuzz_json_space(rd);

    } while (fuzz_json_next(rd, ','));

    rd->depth--;

    return fuzz_json_next(rd, end) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
fuzz_json_member(fuzz_json_reader_t *rd)
{
    ngx_str_t           name;
    fuzz_json_value_t   value, *place;

    if (rd->p == rd->last || *rd->p != '"'
        || fuzz_json_string(rd, &name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    fuzz_json_space(rd);

    if (!fuzz_json_next(rd, ':')) {
        return NGX_ERROR;
    }

    fuzz_json_space(rd);

    place = fuzz_json_place(rd, &name);

    return fuzz_json_value(rd, place ? place : &value);
}


static fuzz_json_value_t *
fuzz_json_place(fuzz_json_reader_t *rd, ngx_str_t *name)
{
    ngx_uint_t          i;
    fuzz_json_value_t  *value;

    static const char  *names[] = {
        "access_token", "token_type", "expires_in", "error",
        "error_description"
    };

    if (rd->depth != 1 || rd->json->top.type != FUZZ_JSON_OBJECT) {
        return NULL;
    }

    value = &rd->json->access_token;

    for (i = 0; i < 5; i++, value++) {

        if (name->len == ngx_strlen(names[i])
            && ngx_memcmp(name->data, names[i], name->len) == 0)
        {
            return value->type == FUZZ_JSON_NONE ? value : NULL;
        }
    }

    return NULL;
}


static ngx_int_t
fuzz_json_word(fuzz_json_reader_t *rd, const char *word)
{
    for (/* void */; *word; word++) {
        if (!fuzz_json_next(rd, *word)) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
fuzz_json_number(fuzz_json_reader_t *rd, double *number)
{
    char     text[64];
    u_char  *start;

    start = rd->p;

    (void) fuzz_json_next(rd, '-');

    if (!fuzz_json_next(rd, '0') && fuzz_json_digits(rd) == 0) {
        return NGX_ERROR;
    }

    if (fuzz_json_next(rd, '.') && fuzz_json_digits(rd) == 0) {
        return NGX_ERROR;
    }

    if (fuzz_json_next(rd, 'e') || fuzz_json_next(rd, 'E')) {

        if (!fuzz_json_next(rd, '+')) {
            (void) fuzz_json_next(rd, '-');
        }

        if (fuzz_json_digits(rd) == 0) {
            return NGX_ERROR;
        }
    }

    if (rd->p - start >= (ptrdiff_t) sizeof(text)) {
        rd->beyond = 1;
        return NGX_OK;
    }

    (void) ngx_cpystrn((u_char *) text, start, rd->p - start + 1);

    *number = strtod(text, NULL);

    return NGX_OK;
}


static ngx_uint_t
fuzz_json_digits(fuzz_json_reader_t *rd)
{
    ngx_uint_t  n;

    for (n = 0; rd->p < rd->last && *rd->p >= '0' && *rd->p <= '9'; n++) {
        rd->p++;
    }

    return n;
}


static ngx_int_t
fuzz_json_string(fuzz_json_reader_t *rd, ngx_str_t *s)
{
    u_char     *p;
    uint32_t    code;
    ngx_uint_t  ended;

    p = ngx_pnalloc(rd->pool, rd->last - rd->p);
    fuzz_check(p != NULL);

    s->data = p;
    ended = 0;

    for (rd->p++; rd->p < rd->last && *rd->p != '"'; /* void */ ) {

        if (*rd->p < 0x20) {
            return NGX_ERROR;
        }

        if (*rd->p != '\\') {
            *p = *rd->p++;
            p += !ended;
            continue;
        }

        if (fuzz_json_escape(rd, &code) != NGX_OK) {
            return NGX_ERROR;
        }

        ended |= (code == 0);

        if (!ended) {
            p = fuzz_json_utf8(p, code);
        }
    }

    s->len = p - s->data;

    return fuzz_json_next(rd, '"') ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
fuzz_json_escape(fuzz_json_reader_t *rd, uint32_t *code)
{
    char      *p;
    uint32_t   low;

    static char  escapes[] = "\"\\/bfnrt";
    static char  escaped[] = "\"\\/\b\f\n\r\t";

    rd->p++;

    if (!fuzz_json_next(rd, 'u')) {

        if (rd->p == rd->last || *rd->p == '\0') {
            return NGX_ERROR;
        }

        p = strchr(escapes, *rd->p++);

        if (p == NULL) {
            return NGX_ERROR;
        }

        *code = escaped[p - escapes];

        return NGX_OK;
    }

    if (fuzz_json_hex(rd, code) != NGX_OK) {
        return NGX_ERROR;
    }

    if (*code < 0xd800 || *code > 0xdfff) {
        return NGX_OK;
    }

    if (*code > 0xdbff
        || !fuzz_json_next(rd, '\\')
        || !fuzz_json_next(rd, 'u')
        || fuzz_json_hex(rd, &low) != NGX_OK
        || low < 0xdc00 || low > 0xdfff)
    {
        return NGX_ERROR;
    }

    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);

    return NGX_OK;
}


static ngx_int_t
fuzz_json_hex(fuzz_json_reader_t *rd, uint32_t *code)
{
    ngx_int_t  n;

    if (rd->last - rd->p < 4) {
        return NGX_ERROR;
    }

    n = ngx_hextoi(rd->p, 4);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    rd->p += 4;
    *code = (uint32_t) n;

    return NGX_OK;
}


static u_char *
fuzz_json_utf8(u_char *p, uint32_t code)
{
    if (code < 0x80) {
        *p++ = (u_char) code;
        return p;
    }

    if (code < 0x800) {
        *p++ = (u_char) (0xc0 | code >> 6);

    } else {

        if (code < 0x10000) {
            *p++ = (u_char) (0xe0 | code >> 12);

        } else {
            *p++ = (u_char) (0xf0 | code >> 18);
            *p++ = (u_char) (0x80 | (code >> 12 & 0x3f));
        }

        *p++ = (u_char) (0x80 | (code >> 6 & 0x3f));
    }

    *p++ = (u_char) (0x80 | (code & 0x3f));

    return p;
}


static void
fuzz_json_space(fuzz_json_reader_t *rd)
{
    while (rd->p < rd->last
           && (*rd->p == ' ' || *rd->p == '\t' || *rd->p == CR
               || *rd->p == LF))
    {
        rd->p++;
    }
}


static ngx_uint_t
fuzz_json_next(fuzz_json_reader_t *rd, u_char ch)
{
    if (rd->p == rd->last || *rd->p != ch) {
        return 0;
    }

    rd->p++;

    return 1;
}
