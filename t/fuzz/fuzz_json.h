
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A second reader of JSON, RFC 8259 to the letter, for the members of an
 * answer that matter.
 */


#ifndef _FUZZ_JSON_H_INCLUDED_
#define _FUZZ_JSON_H_INCLUDED_


#include "fuzz.h"


typedef enum {
    FUZZ_JSON_NONE = 0,
    FUZZ_JSON_STRING,
    FUZZ_JSON_NUMBER,
    FUZZ_JSON_OBJECT,
    FUZZ_JSON_FALSE,
    FUZZ_JSON_NULL,
    FUZZ_JSON_OTHER
} fuzz_json_e;


typedef struct {
    fuzz_json_e         type;
    ngx_str_t           string;       /* decoded, up to a null character */
    double              number;
} fuzz_json_value_t;


/* of members that are given twice the first counts */

typedef struct {
    fuzz_json_value_t   top;

    fuzz_json_value_t   access_token;
    fuzz_json_value_t   token_type;
    fuzz_json_value_t   expires_in;
    fuzz_json_value_t   error;
    fuzz_json_value_t   error_description;
} fuzz_json_t;


/*
 * NGX_OK; NGX_ERROR if it is no JSON, or has a surrogate without the other
 * one; NGX_DECLINED if it is more than cJSON takes: arrays in 1000 others, a
 * number of more than 63 characters
 */

ngx_int_t fuzz_json_read(ngx_pool_t *pool, ngx_str_t *text, fuzz_json_t *json);


#endif /* _FUZZ_JSON_H_INCLUDED_ */
