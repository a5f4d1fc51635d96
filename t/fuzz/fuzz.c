
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The frame of a target: nginx's globals, a pool for each run, and memory that
 * can fail.
 */


#include "fuzz.h"


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* calls of ngx_alloc() come here, the linker sees to it */

void *__wrap_ngx_alloc(size_t size, ngx_log_t *log);
void *__real_ngx_alloc(size_t size, ngx_log_t *log);


ngx_log_t          fuzz_log;

static ngx_time_t  fuzz_time;
static ngx_int_t   fuzz_fail;
static ngx_int_t   fuzz_allocations;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ngx_pagesize = 4096;
    ngx_pagesize_shift = 12;
    ngx_cacheline_size = 64;

    ngx_slab_sizes_init();

    fuzz_time.sec = FUZZ_NOW;
    ngx_cached_time = &fuzz_time;

    fuzz_fail_after(-1);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    input;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, &fuzz_log);
    if (pool == NULL) {
        return 0;
    }

    input.len = size;
    input.data = (u_char *) data;

    fuzz_run(pool, &input);

    fuzz_fail_after(-1);
    ngx_destroy_pool(pool);

    return 0;
}


void
fuzz_finding(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}


ngx_str_t
fuzz_line(ngx_str_t *input)
{
    u_char     *p;
    ngx_str_t   line;

    line = *input;

    p = memchr(input->data, LF, input->len);

    if (p == NULL) {
        input->data += input->len;
        input->len = 0;

        return line;
    }

    line.len = p - line.data;

    input->data += line.len + 1;
    input->len -= line.len + 1;

    return line;
}


ngx_str_t
fuzz_word(ngx_str_t *line)
{
    ngx_str_t  word;

    while (line->len && *line->data == ' ') {
        line->data++;
        line->len--;
    }

    word.data = line->data;

    while (line->len && *line->data != ' ') {
        line->data++;
        line->len--;
    }

    word.len = line->data - word.data;

    return word;
}


int64_t
fuzz_digits(ngx_str_t *value)
{
    size_t      i;
    int64_t     n;
    ngx_uint_t  digit;

    n = 0;

    for (i = 0; i < value->len; i++) {
        digit = value->data[i] - '0';

        if (digit > 9 || n > (INT64_MAX - (int64_t) digit) / 10) {
            return -1;
        }

        n = n * 10 + digit;
    }

    return value->len ? n : -1;
}


ngx_str_t
fuzz_copy(ngx_pool_t *pool, ngx_str_t *s)
{
    ngx_str_t  copy;

    copy.len = s->len;
    copy.data = ngx_pnalloc(pool, s->len);

    fuzz_check(copy.data != NULL);

    ngx_memcpy(copy.data, s->data, s->len);

    return copy;
}


ngx_uint_t
fuzz_random(uint32_t *seed, ngx_uint_t below)
{
    *seed = *seed * 1664525 + 1013904223;

    return (*seed >> 8) % below;
}


uint32_t
fuzz_seed(ngx_str_t *input)
{
    return ngx_murmur_hash2(input->data, input->len);
}


void
fuzz_fail_after(ngx_int_t n)
{
    fuzz_fail = n;
    fuzz_allocations = 0;
}


ngx_uint_t
fuzz_has_failed(void)
{
    return fuzz_fail >= 0 && fuzz_allocations > fuzz_fail;
}


void *
__wrap_ngx_alloc(size_t size, ngx_log_t *log)
{
    if (fuzz_allocations++ == fuzz_fail) {
        return NULL;
    }

    return __real_ngx_alloc(size, log);
}


void *
fuzz_alloc(size_t size)
{
    return __wrap_ngx_alloc(size, &fuzz_log);
}
