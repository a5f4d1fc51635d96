
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_VERSION_H_INCLUDED_
#define _NGX_ZERTIBAN_VERSION_H_INCLUDED_


#define NGX_ZERTIBAN_VERSION  "0.2.0"


#endif /* _NGX_ZERTIBAN_VERSION_H_INCLUDED_ */
