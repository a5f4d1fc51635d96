
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_ADVICE_H_INCLUDED_
#define _NGX_ZERTIBAN_ADVICE_H_INCLUDED_


#include "ngx_zertiban_model.h"


/* what may be wrong with credentials; the worst first */

typedef enum {
    NGX_ZERTIBAN_ADVICE_SECRET = 0,
    NGX_ZERTIBAN_ADVICE_URL,
    NGX_ZERTIBAN_ADVICE_NAME,
    NGX_ZERTIBAN_ADVICE_CLOCK,
    NGX_ZERTIBAN_ADVICE_CERTIFICATE,
    NGX_ZERTIBAN_ADVICE_DOWN,
    NGX_ZERTIBAN_ADVICE_BROKEN,
    NGX_ZERTIBAN_ADVICE_SLOW,
    NGX_ZERTIBAN_ADVICE_LIMITED,
    NGX_ZERTIBAN_ADVICE_ANSWER,
    NGX_ZERTIBAN_ADVICE_ROOM,
    NGX_ZERTIBAN_ADVICE_FALLBACK,
    NGX_ZERTIBAN_ADVICE_EXPIRED,
    NGX_ZERTIBAN_ADVICE_EXPIRES,
    NGX_ZERTIBAN_ADVICE_STARTS,
    NGX_ZERTIBAN_ADVICE_NONE
} ngx_zertiban_advice_e;


/* of a kind: what is wrong, and what to do, as HTML that needs no escaping */

typedef struct {
    ngx_str_t                   what;
    ngx_str_t                   todo;
} ngx_zertiban_advice_t;

extern ngx_zertiban_advice_t  ngx_zertiban_advices[];


/* what is wrong with the entry */

ngx_zertiban_advice_e ngx_zertiban_advice(ngx_zertiban_entry_t *e);


/* what has happened to requests, or to the zone, since that was made */

typedef struct {
    ngx_uint_t                  n;              /* how often */
    time_t                      last;           /* when, 0: it is so now */
    unsigned                    verdict:1;      /* calls fail, or may */
    unsigned                    recent:1;       /* and it was a short time ago,
                                                   or goes on */
    ngx_str_t                   brief;          /* behind "but" */
    ngx_zertiban_advice_t       advice;
} ngx_zertiban_notice_t;

#define NGX_ZERTIBAN_NOTICES  9


/*
 * Sets "notices", NGX_ZERTIBAN_NOTICES of them, the worst first; those with "n"
 * are to be shown.
 */

void ngx_zertiban_notices(ngx_zertiban_model_t *model,
    ngx_zertiban_notice_t *notices);


#endif /* _NGX_ZERTIBAN_ADVICE_H_INCLUDED_ */
