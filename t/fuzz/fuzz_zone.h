
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * A shared zone without other processes.
 */


#ifndef _FUZZ_ZONE_H_INCLUDED_
#define _FUZZ_ZONE_H_INCLUDED_


#include "fuzz.h"

#include "ngx_zertiban_zone.h"


/* an empty one, as in a worker of an nginx that has just started */

ngx_zertiban_zone_t *fuzz_zone(ngx_pool_t *pool, size_t size);


#endif /* _FUZZ_ZONE_H_INCLUDED_ */
