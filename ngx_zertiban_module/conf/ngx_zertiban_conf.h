
/*
 * Copyright (C) the ngx_zertiban_module authors
 */


#ifndef _NGX_ZERTIBAN_CONF_H_INCLUDED_
#define _NGX_ZERTIBAN_CONF_H_INCLUDED_


#include "ngx_zertiban_compat.h"
#include "ngx_zertiban_credential.h"
#include "ngx_zertiban_hosts.h"
#include "ngx_zertiban_value.h"


typedef struct ngx_zertiban_loc_conf_s  ngx_zertiban_loc_conf_t;


/*
 * The credentials that the configuration names, each once, also if it is two
 * for this worker: in the order of the configuration, and by their keys.
 */

typedef struct {
    ngx_zertiban_credential_t    **elts;
    ngx_zertiban_credential_t    **by_key;
    ngx_uint_t                     n;
} ngx_zertiban_named_t;


/* a "zertiban_share" */

typedef struct ngx_zertiban_share_s  ngx_zertiban_share_t;

struct ngx_zertiban_share_s {
    ngx_zertiban_place_t           place;
    void                         **srv_conf;    /* of its server, */
    void                          *server;      /* that of nginx's TLS module */
    ngx_zertiban_share_t          *next;        /* in zmcf->shares */
};


typedef struct {
    ngx_str_t                      zone_name;
    size_t                         zone_size;

    ngx_zertiban_credentials_t    *credentials;
    ngx_zertiban_named_t           named;
    time_t                         loaded;      /* the configuration was */

    /* variables that show what is replaced, NGX_ERROR if nobody uses them */

    ngx_int_t                      authorization_index;
    ngx_int_t                      tenant_index;

    ngx_int_t                      ctx_index;   /* of a slot for the passes */

    ngx_zertiban_value_t          *values;      /* that may hold variables */
    ngx_zertiban_loc_conf_t       *gates;       /* each "zertiban on" */

    ngx_zertiban_share_t          *shares;

    ngx_array_t                    leads;       /* of ngx_zertiban_lead_t */
    ngx_array_t                    shown;       /* of ngx_zertiban_shown_t */

    unsigned                       gated:1;     /* some location is, */
    unsigned                       dynamic:1;   /* with a credential that
                                                   depends on variables */
    unsigned                       covered:1;   /* some way upstream is, by
                                                   another in its location */
} ngx_zertiban_main_conf_t;


/* directives that guard a location; a bit for each, and one for a pair */

typedef struct {
    uint64_t                       set;         /* here, */
    uint64_t                       on;          /* or around it, and on */
    unsigned                       all:1;       /* "allow all" */
} ngx_zertiban_access_t;


/* a directive that leads upstream, such as "proxy_pass" */

typedef struct {
    ngx_str_t                      prefix;      /* "proxy" */
    ngx_zertiban_place_t           place;

    ngx_module_t                  *module;
    size_t                         offset;      /* of the upstream in the
                                                   module's configuration */

    char                          *scheme;      /* of TLS, NULL: none */
    unsigned                       ssl:1;       /* that is its scheme, or may
                                                   be: by variables */
    unsigned                       warned:1;    /* that it leads nowhere */
} ngx_zertiban_route_t;


/* what is known of the servers of a location before a connection is there */

typedef enum {
    NGX_ZERTIBAN_TRUST_UNKNOWN = 0, /* each connection is looked at */
    NGX_ZERTIBAN_TRUST_TLS,         /* all with TLS are to hosts that are
                                       named */
    NGX_ZERTIBAN_TRUST_ALL,
    NGX_ZERTIBAN_TRUST_NONE
} ngx_zertiban_trust_e;


/* why no token is sent to a server */

typedef enum {
    NGX_ZERTIBAN_REFUSED_NOT = 0,
    NGX_ZERTIBAN_REFUSED_PLAIN,
    NGX_ZERTIBAN_REFUSED_UNVERIFIED,
    NGX_ZERTIBAN_REFUSED_UNNAMED,
    NGX_ZERTIBAN_REFUSED_KEPT       /* a connection of another location */
} ngx_zertiban_refused_e;


/* what a location answers with by itself */

typedef enum {
    NGX_ZERTIBAN_STATUS_NONE = 0,
    NGX_ZERTIBAN_STATUS_JSON,
    NGX_ZERTIBAN_STATUS_PROMETHEUS,
    NGX_ZERTIBAN_STATUS_HTML,
    NGX_ZERTIBAN_STATUS_READY
} ngx_zertiban_status_e;


struct ngx_zertiban_loc_conf_s {
    ngx_flag_t                     enable;
    ngx_zertiban_place_t           place;       /* of "zertiban on" */

    ngx_zertiban_loc_conf_t       *gate;        /* that has this place */
    ngx_zertiban_loc_conf_t       *next;        /* in zmcf->gates */

    ngx_zertiban_value_t          *client_id;
    ngx_zertiban_value_t          *client_secret;
    ngx_zertiban_pairs_t          *pairs;       /* of a file, instead */
    ngx_zertiban_value_t          *tenant_id;
    ngx_str_t                      scope;

    ngx_msec_t                     refresh_before;
    ngx_flag_t                     replay;

    ngx_zertiban_client_conf_t     client;
    ngx_zertiban_source_t         *source;      /* of the credentials */

    /* NULL if the credential depends on variables */

    ngx_zertiban_credential_t     *credential;

    /* behind the gate, NULL if there is nothing that leads upstream */

    ngx_http_handler_pt            handler;
    ngx_http_handler_pt            wrapper;     /* of another module */
    ngx_http_upstream_conf_t      *upstream;
    ngx_zertiban_route_t          *route;

    ngx_zertiban_status_e          status;
    ngx_uint_t                     status_max;  /* credentials shown */
    ngx_zertiban_place_t           status_place;

    ngx_zertiban_share_t          *share;       /* NULL: its token is not
                                                   given to gateways */

    ngx_zertiban_hosts_t          *hosts;       /* NULL: the endpoint's */
    ngx_zertiban_trust_e           trust;
    ngx_zertiban_refused_e         refused;     /* with NONE */

    ngx_zertiban_access_t          access;

    unsigned                       explicit:1;  /* "zertiban" is set here */
    unsigned                       proxied:1;   /* it stands before a pass */
    unsigned                       secret_file:1;
    unsigned                       checked:1;   /* a request was looked at */
    unsigned                       told:1;      /* that one was refused */
};


extern ngx_module_t  ngx_zertiban_module;


char *ngx_zertiban_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_client_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_zertiban_conf_tenant(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_hosts(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_zertiban_conf_protocols(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Logs that the directive, which is being read, and "other" exclude each other.
 * Returns NGX_CONF_ERROR.
 */

char *ngx_zertiban_conf_both(ngx_conf_t *cf, char *other);

/*
 * warns of "zertiban_ssl_verify off", refuses a timeout of nothing, sets the
 * place of a ngx_zertiban_text_t, refuses what is in no certificate
 */

extern ngx_conf_post_t  ngx_zertiban_conf_verify_post;
extern ngx_conf_post_t  ngx_zertiban_conf_timeout_post;
extern ngx_conf_post_t  ngx_zertiban_conf_text_post;
extern ngx_conf_post_t  ngx_zertiban_conf_name_post;

/*
 * RFC 9110, section 5.5, and what a tenant may be: 1 to 128 visible ASCII
 * characters.
 */

#define NGX_ZERTIBAN_TENANT_MAX  128

ngx_uint_t ngx_zertiban_tenant_valid(ngx_str_t *tenant);


#endif /* _NGX_ZERTIBAN_CONF_H_INCLUDED_ */
