
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * What the targets share.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <nginx.h>


#define FUZZ_NOW  784111777            /* Sun, 06 Nov 1994 08:49:37 GMT */


/* an expectation of the target; the run ends with a finding if it is wrong */

#define fuzz_check(condition)                                                 \
    if (!(condition)) {                                                       \
        fuzz_finding(#condition, __FILE__, __LINE__);                          \
    }

#define fuzz_str_eq(s1, s2)                                                   \
    ((s1)->len == (s2)->len                                                   \
     && ngx_memcmp((s1)->data, (s2)->data, (s1)->len) == 0)


extern ngx_log_t  fuzz_log;


/* what each target defines: one run, with memory of a pool of its own */

void fuzz_run(ngx_pool_t *pool, ngx_str_t *input);

void fuzz_finding(const char *condition, const char *file, int line);

/* takes the next line off "input", without its end; empty if there is none */

ngx_str_t fuzz_line(ngx_str_t *input);

/* takes the next word off "line", which words of spaces divide */

ngx_str_t fuzz_word(ngx_str_t *line);

/* of digits; -1 if there is anything else, nothing, or too many of them */

int64_t fuzz_digits(ngx_str_t *value);

/* exactly as many bytes as there are, so that each byte too far is seen */

ngx_str_t fuzz_copy(ngx_pool_t *pool, ngx_str_t *s);

/* a sequence that depends on nothing but the seed, so that runs are repeated */

ngx_uint_t fuzz_random(uint32_t *seed, ngx_uint_t below);
uint32_t fuzz_seed(ngx_str_t *input);

/* makes the allocation fail that follows "n" others, or none with -1 */

void fuzz_fail_after(ngx_int_t n);
ngx_uint_t fuzz_has_failed(void);

/* memory that fails like that of a pool */

void *fuzz_alloc(size_t size);


#endif /* _FUZZ_H_INCLUDED_ */
