
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_SURVEY_H_INCLUDED_
#define _NGX_ZERTIBAN_SURVEY_H_INCLUDED_


#include "ngx_zertiban_node.h"


/* the table of these is in docs/design.md; what is due is valid here */

typedef enum {
    NGX_ZERTIBAN_EMPTY = 0,
    NGX_ZERTIBAN_FETCHING,
    NGX_ZERTIBAN_VALID,
    NGX_ZERTIBAN_REFRESHING,
    NGX_ZERTIBAN_DELAYED,
    NGX_ZERTIBAN_FAILING
} ngx_zertiban_standing_e;

#define NGX_ZERTIBAN_STANDINGS  (NGX_ZERTIBAN_FAILING + 1)


/* what the zone knows of a credential; no token, no secret, no digest of one */

typedef struct {
    u_char                      key[NGX_ZERTIBAN_KEY_LEN];
    ngx_zertiban_standing_e     standing;

    /* moments of ngx_current_msec's time */

    ngx_msec_t                  obtained;       /* the last token, 0: never */
    ngx_msec_t                  usable;         /* until then, if "token" */
    ngx_msec_t                  next;           /* exchange, if "planned" */

    ngx_uint_t                  failures;       /* in a row */
    ngx_zertiban_error_e        error;          /* of the last one of these */
    ngx_zertiban_trouble_t      trouble;        /* trouble.time is 0: none */
    ngx_zertiban_tries_t        tries;          /* tries.n is 0: none */

    unsigned                    token:1;        /* that may be used now */
    unsigned                    planned:1;
    unsigned                    named:1;        /* by this configuration */
} ngx_zertiban_survey_t;


/* what the zone knows of itself */

typedef struct {
    size_t                      size;           /* bytes */
    size_t                      free;           /* bytes, in free pages */
    size_t                      used;           /* bytes of what is not free in
                                                   pieces, counters included */
    ngx_uint_t                  nodes;          /* credentials in it */
    ngx_uint_t                  evictions;
    ngx_uint_t                  resets;
    time_t                      start;          /* then it was made */
} ngx_zertiban_zone_info_t;


/*
 * All that follows takes the slab pool's mutex, for one credential at a time.
 *
 * ngx_zertiban_survey() returns NGX_OK, or NGX_DECLINED if "key" is not in the
 * zone, and nothing but survey->key and an empty standing was set.
 *
 * ngx_zertiban_survey_next() goes on behind survey->key, or begins if "first"
 * is 1; NGX_DONE if there is no more.  What comes and goes meanwhile may be
 * missed, what stays is not, and nothing comes twice.
 */

ngx_int_t ngx_zertiban_survey(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_survey_t *survey);
ngx_int_t ngx_zertiban_survey_next(ngx_zertiban_zone_t *zone,
    ngx_uint_t first, ngx_zertiban_survey_t *survey);

/* of the zone as a whole */

void ngx_zertiban_survey_zone(ngx_zertiban_zone_t *zone,
    ngx_zertiban_zone_info_t *info);

/*
 * Remembers why an exchange has failed, if the credential is in the zone and
 * there is room; "text" is cut.
 */

void ngx_zertiban_survey_failed(ngx_zertiban_zone_t *zone, u_char *key,
    ngx_zertiban_error_e error, ngx_uint_t status, ngx_str_t *text);


#endif /* _NGX_ZERTIBAN_SURVEY_H_INCLUDED_ */
