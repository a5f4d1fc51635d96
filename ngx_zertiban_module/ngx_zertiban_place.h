
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Where a directive stands, for what is found out when all are known.
 */


#ifndef _NGX_ZERTIBAN_PLACE_H_INCLUDED_
#define _NGX_ZERTIBAN_PLACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t                file;
    ngx_uint_t               line;
} ngx_zertiban_place_t;


/* a string, of ngx_conf_set_str_slot(), and its place */

typedef struct {
    ngx_str_t                value;
    ngx_zertiban_place_t     place;
} ngx_zertiban_text_t;


/* while the directive is read */

#define ngx_zertiban_place_set(place, cf)                                     \
    (place)->file = (cf)->conf_file->file.name;                               \
    (place)->line = (cf)->conf_file->line


#endif /* _NGX_ZERTIBAN_PLACE_H_INCLUDED_ */
