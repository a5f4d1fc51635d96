
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Where a token may go: over TLS to a host that is named, and to this machine.
 *
 * What counts is the connection.  The configuration says what is certain
 * before: where no connection has to be looked at, and where none would do.
 */


#include "ngx_zertiban_destination.h"


/* a location that leads upstream */

typedef struct {
    ngx_zertiban_loc_conf_t       *zlcf;
    ngx_str_t                     *location;
    ngx_uint_t                     gated;
    ngx_http_upstream_srv_conf_t  *uscf;        /* NULL: by variables */
} ngx_zertiban_lead_t;


typedef struct {
    ngx_zertiban_refused_e         why;
    ngx_zertiban_loc_conf_t       *zlcf;
    ngx_str_t                     *location;
    ngx_str_t                     *server;      /* name or address */
    ngx_str_t                     *name;        /* in the certificate, */
    ngx_uint_t                     group;       /* which is that of an
                                                   "upstream" block */
} ngx_zertiban_refusal_t;


static int ngx_libc_cdecl ngx_zertiban_destination_cmp(const void *one,
    const void *two);
static void ngx_zertiban_destination_set(ngx_conf_t *cf,
    ngx_zertiban_lead_t *lead, ngx_str_t *proven);
static void ngx_zertiban_destination_warn(ngx_conf_t *cf,
    ngx_zertiban_lead_t *lead, ngx_zertiban_refused_e why, ngx_str_t *name);
static ngx_uint_t ngx_zertiban_destination_proven(ngx_zertiban_lead_t *lead,
    ngx_uint_t n, ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *proven);
static ngx_zertiban_refused_e ngx_zertiban_destination_fault(
    ngx_zertiban_lead_t *lead, ngx_str_t *name);
static ngx_int_t ngx_zertiban_destination_local(
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_uint_t ngx_zertiban_destination_remote(
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_uint_t ngx_zertiban_destination_name(ngx_zertiban_loc_conf_t *zlcf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *name);
static ngx_zertiban_refused_e ngx_zertiban_destination_facts(
    ngx_http_upstream_t *u, ngx_zertiban_loc_conf_t *zlcf);
static ngx_uint_t ngx_zertiban_destination_kept(ngx_connection_t *c,
    ngx_zertiban_loc_conf_t *zlcf);
static ngx_uint_t ngx_zertiban_destination_named(
    ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *name);
static void ngx_zertiban_destination_tell(ngx_http_request_t *r,
    ngx_zertiban_refusal_t *refusal);
static void ngx_zertiban_destination_log(ngx_uint_t level, ngx_log_t *log,
    ngx_zertiban_refusal_t *refusal);
static u_char *ngx_zertiban_destination_advice(u_char *buf, u_char *last,
    ngx_zertiban_refusal_t *refusal);


ngx_int_t
ngx_zertiban_destination_create(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    return ngx_array_init(&zmcf->leads, cf->pool, 8,
                          sizeof(ngx_zertiban_lead_t));
}


ngx_int_t
ngx_zertiban_destination_add(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *zlcf,
    ngx_uint_t gated)
{
    ngx_zertiban_lead_t       *lead;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_zertiban_main_conf_t  *zmcf;

    if (zlcf->handler == NULL) {
        return NGX_OK;
    }

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    lead = ngx_array_push(&zmcf->leads);
    if (lead == NULL) {
        return NGX_ERROR;
    }

    lead->zlcf = zlcf;
    lead->location = &clcf->name;
    lead->gated = gated;
    lead->uscf = NULL;

    return NGX_OK;
}


void
ngx_zertiban_destination_init(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_str_t             proven;
    ngx_uint_t            i, n, first, variable;
    ngx_zertiban_lead_t  *lead;

    lead = zmcf->leads.elts;
    n = zmcf->leads.nelts;

    /* zlcf->upstream was merged after zlcf */

    for (i = 0; i < n; i++) {
        lead[i].uscf = lead[i].zlcf->upstream->upstream;
    }

    ngx_qsort(lead, n, sizeof(ngx_zertiban_lead_t),
              ngx_zertiban_destination_cmp);

    for (variable = 0; variable < n; variable++) {

        if (lead[variable].uscf) {
            break;
        }

        ngx_zertiban_destination_set(cf, &lead[variable], NULL);
    }

    for (first = variable; first < n; first = i) {

        for (i = first + 1; i < n && lead[i].uscf == lead[first].uscf; i++) {
            /* void */
        }

        ngx_str_null(&proven);

        if (zmcf->covered
            || !ngx_zertiban_destination_proven(lead, variable,
                                                lead[first].uscf, &proven)
            || !ngx_zertiban_destination_proven(&lead[first], i - first,
                                                lead[first].uscf, &proven))
        {
            ngx_str_null(&proven);
        }

        while (first < i) {
            ngx_zertiban_destination_set(cf, &lead[first++], &proven);
        }
    }
}


static int ngx_libc_cdecl
ngx_zertiban_destination_cmp(const void *one, const void *two)
{
    const ngx_zertiban_lead_t *a = one;
    const ngx_zertiban_lead_t *b = two;

    return (a->uscf > b->uscf) - (a->uscf < b->uscf);
}


/*
 * "proven" is the name that each connection with TLS to the servers of the
 * location has a certificate for, whoever has made it; empty if there is no
 * such name
 */

static void
ngx_zertiban_destination_set(ngx_conf_t *cf, ngx_zertiban_lead_t *lead,
    ngx_str_t *proven)
{
    ngx_int_t                 rc;
    ngx_str_t                 name;
    ngx_zertiban_refused_e    why;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = lead->zlcf;

    if (!lead->gated) {
        return;
    }

    if (zlcf->hosts && zlcf->hosts->any) {
        zlcf->trust = NGX_ZERTIBAN_TRUST_ALL;
        return;
    }

    if (lead->uscf == NULL) {
        return;
    }

    rc = ngx_zertiban_destination_local(lead->uscf);

    if (rc == NGX_OK) {
        zlcf->trust = NGX_ZERTIBAN_TRUST_ALL;
        return;
    }

    ngx_str_null(&name);

    why = ngx_zertiban_destination_fault(lead, &name);

    if (why && rc == NGX_DECLINED) {
        zlcf->trust = NGX_ZERTIBAN_TRUST_NONE;
        zlcf->refused = why;

        ngx_zertiban_destination_warn(cf, lead, why, &name);
        return;
    }

    if (why && ngx_zertiban_destination_remote(lead->uscf)) {
        ngx_zertiban_destination_warn(cf, lead, why, &name);
    }

    if (zlcf->route->ssl && ngx_zertiban_destination_named(zlcf, proven)) {
        zlcf->trust = NGX_ZERTIBAN_TRUST_TLS;
    }
}


static void
ngx_zertiban_destination_warn(ngx_conf_t *cf, ngx_zertiban_lead_t *lead,
    ngx_zertiban_refused_e why, ngx_str_t *name)
{
    ngx_zertiban_refusal_t  refusal;

    /* blocks inside of the location have the same one */

    if (lead->zlcf->route->warned) {
        return;
    }

    lead->zlcf->route->warned = 1;

    refusal.why = why;
    refusal.zlcf = lead->zlcf;
    refusal.location = lead->location;
    refusal.server = &lead->uscf->host;
    refusal.name = name;
    refusal.group = (lead->uscf->flags & NGX_HTTP_UPSTREAM_CREATE)
                    && ngx_zertiban_upstream_ssl_name(lead->zlcf->upstream)
                       == NULL;

    ngx_zertiban_destination_log(NGX_LOG_WARN, cf->log, &refusal);
}


/*
 * An upstream's connections are kept for all locations that lead there, and
 * nginx does not verify them again.  Those that variables lead may lead to any.
 */

static ngx_uint_t
ngx_zertiban_destination_proven(ngx_zertiban_lead_t *lead, ngx_uint_t n,
    ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *proven)
{
    ngx_str_t                 name;
    ngx_uint_t                i;
    ngx_zertiban_loc_conf_t  *zlcf;

    for (i = 0; i < n; i++) {

        zlcf = lead[i].zlcf;

        if (!zlcf->route->ssl) {
            continue;
        }

        if (!ngx_zertiban_upstream_verify(zlcf->upstream)
            || !ngx_zertiban_destination_name(zlcf, uscf, &name))
        {
            return 0;
        }

        if (proven->data && !ngx_zertiban_hosts_equal(proven, &name)) {
            return 0;
        }

        *proven = name;
    }

    return 1;
}


/* why all requests to other machines will be refused, if that is certain */

static ngx_zertiban_refused_e
ngx_zertiban_destination_fault(ngx_zertiban_lead_t *lead, ngx_str_t *name)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = lead->zlcf;

    if (!zlcf->route->ssl) {
        return NGX_ZERTIBAN_REFUSED_PLAIN;
    }

    if (!ngx_zertiban_upstream_verify(zlcf->upstream)) {
        return NGX_ZERTIBAN_REFUSED_UNVERIFIED;
    }

    if (ngx_zertiban_destination_name(zlcf, lead->uscf, name)
        && !ngx_zertiban_destination_named(zlcf, name))
    {
        return NGX_ZERTIBAN_REFUSED_UNNAMED;
    }

    return NGX_ZERTIBAN_REFUSED_NOT;
}


/*
 * NGX_OK if all servers are of this machine, NGX_DECLINED if none is, NGX_AGAIN
 * if that is not certain: in an "upstream" block balancers may choose others
 */

static ngx_int_t
ngx_zertiban_destination_local(ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_uint_t                     local;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    if ((uscf->flags & NGX_HTTP_UPSTREAM_CREATE)
        || (uscf->peer.init_upstream
            && uscf->peer.init_upstream != ngx_http_upstream_init_round_robin))
    {
        return NGX_AGAIN;
    }

    peers = uscf->peer.data;

    local = 0;

    for (peer = peers->peer; peer; peer = peer->next) {
        local += ngx_zertiban_endpoint_local(peer->sockaddr);
    }

    if (local == 0) {
        return NGX_DECLINED;
    }

    return local == peers->number ? NGX_OK : NGX_AGAIN;
}


/*
 * Whether all servers of an "upstream" block are likely to be of other
 * machines: it has addresses of these only, and no balancer but nginx's own,
 * which is the one that knows "backup".
 */

static ngx_uint_t
ngx_zertiban_destination_remote(ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_uint_t                   i, n;
    ngx_http_upstream_server_t  *server;

    if (uscf->servers == NULL || !(uscf->flags & NGX_HTTP_UPSTREAM_BACKUP)) {
        return 0;
    }

    server = uscf->servers->elts;

    for (i = 0; i < uscf->servers->nelts; i++) {

        if (server[i].naddrs == 0) {
            return 0;
        }

        for (n = 0; n < server[i].naddrs; n++) {
            if (ngx_zertiban_endpoint_local(server[i].addrs[n].sockaddr)) {
                return 0;
            }
        }
    }

    return 1;
}


/* as in ngx_http_upstream_ssl_name(); returns 0 if variables say it */

static ngx_uint_t
ngx_zertiban_destination_name(ngx_zertiban_loc_conf_t *zlcf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *name)
{
    u_char                    *p, *last;
    ngx_http_complex_value_t  *cv;

    cv = ngx_zertiban_upstream_ssl_name(zlcf->upstream);

    if (cv && cv->lengths) {
        return 0;
    }

    *name = cv ? cv->value : uscf->host;

    p = name->data;
    last = name->data + name->len;

    if (p < last && *p == '[') {
        p = ngx_strlchr(p, last, ']');
    }

    p = p ? ngx_strlchr(p, last, ':') : NULL;

    if (p) {
        name->len = p - name->data;
    }

    return 1;
}


void
ngx_zertiban_destination_refused(ngx_http_request_t *r,
    ngx_zertiban_loc_conf_t *zlcf)
{
    ngx_str_t                      name;
    ngx_zertiban_refusal_t         refusal;
    ngx_http_upstream_srv_conf_t  *uscf;

    uscf = zlcf->upstream->upstream;

    ngx_str_null(&name);

    (void) ngx_zertiban_destination_name(zlcf, uscf, &name);

    refusal.why = zlcf->refused;
    refusal.zlcf = zlcf;
    refusal.server = &uscf->host;
    refusal.name = &name;
    refusal.group = 0;

    ngx_zertiban_destination_tell(r, &refusal);
}


ngx_int_t
ngx_zertiban_destination_judge(ngx_zertiban_ctx_t *ctx)
{
    ngx_http_upstream_t     *u;
    ngx_zertiban_refusal_t   refusal;

    u = ctx->upstream;

    refusal.zlcf = ngx_http_get_module_loc_conf(ctx->request,
                                                ngx_zertiban_module);
    refusal.why = ngx_zertiban_destination_facts(u, refusal.zlcf);

    if (refusal.why == NGX_ZERTIBAN_REFUSED_NOT) {
        return NGX_OK;
    }

    refusal.server = u->peer.name;
    refusal.name = ngx_zertiban_upstream_name(u);
    refusal.group = 0;

    ngx_zertiban_destination_tell(ctx->request, &refusal);

    return NGX_DECLINED;
}


static ngx_zertiban_refused_e
ngx_zertiban_destination_facts(ngx_http_upstream_t *u,
    ngx_zertiban_loc_conf_t *zlcf)
{
    ngx_connection_t  *c;

    c = u->peer.connection;

    if (c->ssl == NULL) {
        return NGX_ZERTIBAN_REFUSED_PLAIN;
    }

    if (!ngx_zertiban_upstream_verify(u->conf)) {
        return NGX_ZERTIBAN_REFUSED_UNVERIFIED;
    }

    if (u->peer.cached) {
        return ngx_zertiban_destination_kept(c, zlcf)
                   ? NGX_ZERTIBAN_REFUSED_NOT
                   : NGX_ZERTIBAN_REFUSED_KEPT;
    }

    /* ngx_http_upstream_ssl_handshake() has verified it for that name */

    return ngx_zertiban_destination_named(zlcf, ngx_zertiban_upstream_name(u))
               ? NGX_ZERTIBAN_REFUSED_NOT
               : NGX_ZERTIBAN_REFUSED_UNNAMED;
}


/* another location may have made the connection, as it likes */

static ngx_uint_t
ngx_zertiban_destination_kept(ngx_connection_t *c,
    ngx_zertiban_loc_conf_t *zlcf)
{
    ngx_str_t              name;
    ngx_uint_t             i;
    const char            *sni;
    ngx_zertiban_hosts_t  *hosts;

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK) {
        return 0;
    }

    sni = SSL_get_servername(c->ssl->connection, TLSEXT_NAMETYPE_host_name);

    if (sni) {
        name.data = (u_char *) sni;
        name.len = ngx_strlen(sni);

        if (!ngx_zertiban_destination_named(zlcf, &name)) {
            return 0;
        }
    }

    hosts = zlcf->hosts;

    if (hosts == NULL) {
        name = ngx_zertiban_hosts_relative(&zlcf->client.endpoint->host);
        return ngx_ssl_check_host(c, &name) == NGX_OK;
    }

    for (i = 0; i < hosts->nnames; i++) {
        if (ngx_ssl_check_host(c, &hosts->names[i]) == NGX_OK) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_zertiban_destination_named(ngx_zertiban_loc_conf_t *zlcf, ngx_str_t *name)
{
    if (zlcf->hosts) {
        return ngx_zertiban_hosts_named(zlcf->hosts, name);
    }

    return ngx_zertiban_hosts_equal(&zlcf->client.endpoint->host, name);
}


/* once for a location and worker it is an error */

static void
ngx_zertiban_destination_tell(ngx_http_request_t *r,
    ngx_zertiban_refusal_t *refusal)
{
    ngx_uint_t                 level;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    refusal->location = &clcf->name;

    level = refusal->zlcf->told ? NGX_LOG_INFO : NGX_LOG_ERR;

    refusal->zlcf->told = 1;

    ngx_zertiban_destination_log(level, r->connection->log, refusal);
}


static void
ngx_zertiban_destination_log(ngx_uint_t level, ngx_log_t *log,
    ngx_zertiban_refusal_t *refusal)
{
    u_char                *p;
    ngx_zertiban_place_t  *place;
    u_char                 advice[NGX_MAX_CONF_ERRSTR];

    p = ngx_zertiban_destination_advice(advice, advice + sizeof(advice),
                                        refusal);

    place = &refusal->zlcf->route->place;

    ngx_log_error(level, log, 0,
                  "no token is sent to \"%V\" from the location \"%V\": "
                  "%*s, in %V:%ui",
                  refusal->server, refusal->location, (size_t) (p - advice),
                  advice, &place->file, place->line);
}


static u_char *
ngx_zertiban_destination_advice(u_char *buf, u_char *last,
    ngx_zertiban_refusal_t *refusal)
{
    ngx_str_t                *prefix;
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = refusal->zlcf;
    prefix = &zlcf->route->prefix;

    switch (refusal->why) {

    case NGX_ZERTIBAN_REFUSED_PLAIN:

        if (zlcf->route->scheme == NULL) {
            return ngx_slprintf(buf, last,
                                "the connection has no TLS, lead \"%V_pass\" "
                                "to a loopback address or a unix socket",
                                prefix);
        }

        return ngx_slprintf(buf, last,
                            "the connection has no TLS, write \"%V_pass "
                            "%s...\", \"%V_ssl_verify on\" and "
                            "\"%V_ssl_trusted_certificate\"",
                            prefix, zlcf->route->scheme, prefix, prefix);

    case NGX_ZERTIBAN_REFUSED_UNVERIFIED:
        return ngx_slprintf(buf, last,
                            "the certificate is not verified, add "
                            "\"%V_ssl_verify on\" and "
                            "\"%V_ssl_trusted_certificate\"",
                            prefix, prefix);

    case NGX_ZERTIBAN_REFUSED_KEPT:
        return ngx_slprintf(buf, last,
                            "the connection was kept by a location that did "
                            "not verify the certificate, or for another "
                            "name, give all locations of this upstream the "
                            "same \"%V_ssl_verify on\" and \"%V_ssl_name\", "
                            "or this one an upstream of its own",
                            prefix, prefix);

    case NGX_ZERTIBAN_REFUSED_NOT:
    case NGX_ZERTIBAN_REFUSED_UNNAMED:
        break;
    }

    if (refusal->group || ngx_zertiban_hosts_check(refusal->name)) {
        return ngx_slprintf(buf, last,
                            "the certificate is not verified for a name of "
                            "\"zertiban_upstream_host\", set "
                            "\"%V_ssl_name\" to one",
                            prefix);
    }

    if (zlcf->hosts) {
        return ngx_slprintf(buf, last,
                            "the certificate is for \"%V\", add this to "
                            "\"zertiban_upstream_host\"",
                            refusal->name);
    }

    return ngx_slprintf(buf, last,
                        "the certificate is for \"%V\", add "
                        "\"zertiban_upstream_host %V\"",
                        refusal->name, refusal->name);
}
