
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * Which locations have access control.
 *
 * nginx's modules keep that to themselves, so the directives are seen instead:
 * to the module's own ones, which ngx_conf_handler() looks at before those of
 * nginx's modules (see "config"), a copy of each is added, with the contexts
 * and the number of arguments that it has there, and what it has not is as
 * unknown as before.  The copy calls the directive, and remembers that.
 *
 * A module that has been put before this one is not seen: what it guards counts
 * as open.
 */


#include "ngx_zertiban_access.h"


#define NGX_ZERTIBAN_ACCESS_RULES  0x0001   /* "allow" and "deny" */

/* of one more directive each */

#define NGX_ZERTIBAN_ACCESS_BITS   64


typedef struct {
    ngx_command_t             *command;
    ngx_module_t              *module;
    uint64_t                   bit;
} ngx_zertiban_guard_t;


/* while the configuration is read, and as long as it is in use */

typedef struct {
    ngx_command_t             *own;
    ngx_command_t             *all;
} ngx_zertiban_guards_t;


typedef struct {
    ngx_zertiban_loc_conf_t   *conf;
    void                     **srv_conf;
} ngx_zertiban_shown_t;


static ngx_uint_t ngx_zertiban_access_count(ngx_conf_t *cf);
static ngx_int_t ngx_zertiban_access_add(ngx_conf_t *cf, ngx_command_t *copy);
static ngx_uint_t ngx_zertiban_access_guards(ngx_module_t *module,
    ngx_command_t *cmd);
static ngx_uint_t ngx_zertiban_access_rule(ngx_command_t *cmd);
static char *ngx_zertiban_access_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void ngx_zertiban_access_cleanup(void *data);
static ngx_int_t ngx_zertiban_access_show(ngx_conf_t *cf,
    ngx_zertiban_loc_conf_t *conf);
static ngx_str_t *ngx_zertiban_access_open(ngx_conf_t *cf,
    ngx_zertiban_shown_t *shown);
static ngx_uint_t ngx_zertiban_access_serves(ngx_http_conf_addr_t *addr,
    ngx_http_core_srv_conf_t *cscf);


ngx_int_t
ngx_zertiban_access_init(ngx_conf_t *cf, ngx_command_t *commands)
{
    ngx_uint_t              n;
    ngx_command_t          *all;
    ngx_pool_cleanup_t     *cln;
    ngx_zertiban_guards_t  *guards;

    for (n = 0; commands[n].name.len; n++) { /* void */ }

    all = ngx_pcalloc(cf->pool, (n + ngx_zertiban_access_count(cf) + 1)
                                * sizeof(ngx_command_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(all, commands, n * sizeof(ngx_command_t));

    if (ngx_zertiban_access_add(cf, &all[n]) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_zertiban_guards_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    guards = cln->data;

    guards->own = commands;
    guards->all = all;

    cln->handler = ngx_zertiban_access_cleanup;

    ngx_zertiban_module.commands = all;

    return NGX_OK;
}


static ngx_uint_t
ngx_zertiban_access_count(ngx_conf_t *cf)
{
    ngx_uint_t      i, n;
    ngx_module_t   *module;
    ngx_command_t  *cmd;

    n = 0;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        for (cmd = module->commands; cmd && cmd->name.len; cmd++) {
            n += ngx_zertiban_access_guards(module, cmd);
        }
    }

    return n;
}


static ngx_int_t
ngx_zertiban_access_add(ngx_conf_t *cf, ngx_command_t *copy)
{
    ngx_uint_t             i, n;
    ngx_module_t          *module;
    ngx_command_t         *cmd;
    ngx_zertiban_guard_t  *guard;

    n = 0;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        for (cmd = module->commands; cmd && cmd->name.len; cmd++) {

            if (!ngx_zertiban_access_guards(module, cmd)) {
                continue;
            }

            guard = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_guard_t));
            if (guard == NULL) {
                return NGX_ERROR;
            }

            guard->command = cmd;
            guard->module = module;

            if (ngx_zertiban_access_rule(cmd)) {
                guard->bit = NGX_ZERTIBAN_ACCESS_RULES;

            } else if (++n < NGX_ZERTIBAN_ACCESS_BITS) {
                guard->bit = (uint64_t) 1 << n;
            }

            *copy = *cmd;

            copy->set = ngx_zertiban_access_set;
            copy->post = guard;

            copy++;
        }
    }

    return NGX_OK;
}


/* "auth_delay" delays only, and what has more words in its name is a setting */

static ngx_uint_t
ngx_zertiban_access_guards(ngx_module_t *module, ngx_command_t *cmd)
{
    u_char     *last;
    ngx_str_t   word;

    if (module == &ngx_zertiban_module
        || module->type != NGX_HTTP_MODULE
        || !(cmd->type & NGX_HTTP_LOC_CONF)
        || (cmd->type & (NGX_MAIN_CONF|NGX_DIRECT_CONF)))
    {
        return 0;
    }

    if (ngx_zertiban_access_rule(cmd)) {
        return 1;
    }

    if (cmd->name.len <= 5
        || ngx_strncmp(cmd->name.data, "auth_", 5) != 0)
    {
        return 0;
    }

    word.data = cmd->name.data + 5;
    word.len = cmd->name.len - 5;
    last = word.data + word.len;

    return ngx_strlchr(word.data, last, '_') == NULL
           && !(word.len == 5 && ngx_strncmp(word.data, "delay", 5) == 0);
}


static ngx_uint_t
ngx_zertiban_access_rule(ngx_command_t *cmd)
{
    return ngx_strcmp(cmd->name.data, "allow") == 0
           || ngx_strcmp(cmd->name.data, "deny") == 0;
}


static char *
ngx_zertiban_access_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    void                    **confs;
    ngx_str_t                *value;
    ngx_http_conf_ctx_t      *ctx;
    ngx_zertiban_guard_t     *guard;
    ngx_zertiban_access_t    *access;
    ngx_zertiban_loc_conf_t  *zlcf;

    ctx = cf->ctx;
    guard = cmd->post;

    /* as in ngx_conf_handler() */

    confs = *(void ***) ((char *) ctx + cmd->conf);

    zlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_zertiban_module);
    access = &zlcf->access;

    value = cf->args->elts;

    /* what is said may be changed by whom it is said to */

    access->set |= guard->bit;

    if (guard->bit != NGX_ZERTIBAN_ACCESS_RULES) {

        if (cf->args->nelts < 2 || ngx_strcmp(value[1].data, "off") != 0) {
            access->on |= guard->bit;
        }

    } else if (value[0].data[0] == 'd') {

        /* "allow" alone refuses nobody */

        access->on |= guard->bit;

    } else if (ngx_strcmp(value[1].data, "all") == 0) {
        access->all = 1;
    }

    return guard->command->set(cf, guard->command,
                               confs ? confs[guard->module->ctx_index] : NULL);
}


/* nginx reads the next configuration when the modules of this one have gone */

static void
ngx_zertiban_access_cleanup(void *data)
{
    ngx_zertiban_guards_t *guards = data;

    if (ngx_zertiban_module.commands == guards->all) {
        ngx_zertiban_module.commands = guards->own;
    }
}


ngx_int_t
ngx_zertiban_access_merge(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf)
{
    conf->access.on |= prev->access.on & ~conf->access.set;

    if (!(conf->access.set & NGX_ZERTIBAN_ACCESS_RULES)) {
        conf->access.all = prev->access.all;
    }

    /* what "if" and "limit_except" show is shown by their location */

    return conf->status ? ngx_zertiban_access_show(cf, conf) : NGX_OK;
}


/* nginx's modules have not been merged yet, and may be asked at the end only */

static ngx_int_t
ngx_zertiban_access_show(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *conf)
{
    ngx_http_conf_ctx_t       *ctx;
    ngx_zertiban_shown_t      *shown;
    ngx_zertiban_main_conf_t  *zmcf;

    ctx = cf->ctx;
    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);

    if (zmcf->shown.elts == NULL
        && ngx_array_init(&zmcf->shown, cf->pool, 4,
                          sizeof(ngx_zertiban_shown_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    shown = ngx_array_push(&zmcf->shown);
    if (shown == NULL) {
        return NGX_ERROR;
    }

    shown->conf = conf;
    shown->srv_conf = ctx->srv_conf;

    return NGX_OK;
}


void
ngx_zertiban_access_check(ngx_conf_t *cf, ngx_zertiban_main_conf_t *zmcf)
{
    ngx_str_t                *addr;
    ngx_uint_t                i;
    ngx_zertiban_shown_t     *shown;
    ngx_zertiban_loc_conf_t  *conf;

    shown = zmcf->shown.elts;

    for (i = 0; i < zmcf->shown.nelts; i++) {

        conf = shown[i].conf;

        /* "allow all" says that it is meant to be so */

        if (conf->access.on || conf->access.all) {
            continue;
        }

        addr = ngx_zertiban_access_open(cf, &shown[i]);

        if (addr == NULL) {
            continue;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"zertiban_status\": anybody who reaches this server at "
                      "%V sees it, add \"allow 127.0.0.1; deny all;\", or "
                      "what else is to guard it, to its location, in %V:%ui",
                      addr, &conf->status_place.file, conf->status_place.line);
    }
}


/* an address that others reach, or NULL */

static ngx_str_t *
ngx_zertiban_access_open(ngx_conf_t *cf, ngx_zertiban_shown_t *shown)
{
    void                       *certificate;
    ngx_uint_t                  p, a;
    ngx_http_conf_addr_t       *addr;
    ngx_http_conf_port_t       *port;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscf = shown->srv_conf[ngx_http_core_module.ctx_index];

    if (cmcf->ports == NULL) {
        return NULL;
    }

    certificate = ngx_zertiban_access_certificate(cf->cycle->modules,
                                                  shown->srv_conf);

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {
        addr = port[p].addrs.elts;

        for (a = 0; a < port[p].addrs.nelts; a++) {

            if (ngx_zertiban_access_serves(&addr[a], cscf)
                && !ngx_zertiban_endpoint_local(addr[a].opt.sockaddr)
                && !(certificate && ngx_zertiban_listen_ssl(&addr[a].opt)))
            {
                return &addr[a].opt.addr_text;
            }
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_zertiban_access_serves(ngx_http_conf_addr_t *addr,
    ngx_http_core_srv_conf_t *cscf)
{
    ngx_uint_t                  i;
    ngx_http_core_srv_conf_t  **servers;

    servers = addr->servers.elts;

    for (i = 0; i < addr->servers.nelts; i++) {
        if (servers[i] == cscf) {
            return 1;
        }
    }

    return 0;
}


void *
ngx_zertiban_access_certificate(ngx_module_t **modules, void **srv_conf)
{
    void        *sscf;
    ngx_uint_t   i;

    for (i = 0; modules[i]; i++) {

        if (modules[i]->type == NGX_HTTP_MODULE
            && ngx_strcmp(modules[i]->name, "ngx_http_ssl_module") == 0)
        {
            sscf = srv_conf[modules[i]->ctx_index];

            return ngx_zertiban_verify_client(sscf) ? sscf : NULL;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_zertiban_access_passed(ngx_http_request_t *r)
{
    ngx_zertiban_loc_conf_t  *zlcf;

    zlcf = ngx_http_get_module_loc_conf(r, ngx_zertiban_module);

    if (zlcf->access.on) {
        return 1;
    }

    return ngx_zertiban_access_certificate(ngx_cycle->modules, r->srv_conf)
           && ngx_zertiban_over_ssl(r);
}
