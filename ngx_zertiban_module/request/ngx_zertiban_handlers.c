
/*
 * Copyright (C) the ngx_zertiban_module authors
 *
 * The content handlers behind the gate: those of the directives that lead
 * upstream with the headers of the request, and no others.
 *
 * A content handler does not tell what it is.  ngx_conf_handler() calls the
 * first module that has a directive: the module stands before those that have
 * these (see "config"), calls them itself, and so knows the handler before any
 * other module can have put one of its own there.
 *
 * One that has, such as "track_uploads", is between the gate and the handler:
 * it may rely on that the request is on its way when it returns.
 */


#include "ngx_zertiban_handlers.h"
#include "ngx_zertiban_gate.h"


static ngx_command_t *ngx_zertiban_handlers_find(ngx_module_t *module,
    ngx_str_t *name);
static ngx_zertiban_route_t *ngx_zertiban_handlers_route(ngx_conf_t *cf,
    ngx_module_t *module, ngx_command_t *cmd);
static ngx_uint_t ngx_zertiban_handlers_ssl(ngx_str_t *url, char *scheme);
static ngx_http_upstream_conf_t *ngx_zertiban_handlers_upstream(
    ngx_conf_t *cf, ngx_zertiban_route_t *route);


ngx_int_t
ngx_zertiban_handlers_check(ngx_conf_t *cf)
{
    ngx_uint_t      i;
    ngx_module_t   *module;
    ngx_command_t  *cmd;

    for (i = 0; cf->cycle->modules[i] != &ngx_zertiban_module; i++) {

        module = cf->cycle->modules[i];

        for (cmd = ngx_zertiban_module.commands; cmd->name.len; cmd++) {

            if (cmd->set == ngx_zertiban_handlers_pass
                && ngx_zertiban_handlers_find(module, &cmd->name))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "ngx_zertiban_module has to come before "
                                   "%s, which has \"%V\"",
                                   module->name, &cmd->name);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


char *
ngx_zertiban_handlers_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_zertiban_loc_conf_t *zlcf = conf;

    char                      *rv;
    ngx_uint_t                 i;
    ngx_module_t              *module;
    ngx_command_t             *pass;
    ngx_http_conf_ctx_t       *ctx;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_zertiban_main_conf_t  *zmcf;

    pass = NULL;
    module = NULL;

    for (i = 0; cf->cycle->modules[i]; i++) {

        module = cf->cycle->modules[i];

        if (module == &ngx_zertiban_module) {
            continue;
        }

        pass = ngx_zertiban_handlers_find(module, &cmd->name);

        if (pass) {
            break;
        }
    }

    if (pass == NULL) {
        return "is of a module that this nginx does not have";
    }

    ctx = cf->ctx;

    rv = pass->set(cf, pass, ctx->loc_conf[module->ctx_index]);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (zlcf->handler) {

        /* nginx may use the first one yet: that of "limit_except" */

        zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_zertiban_module);
        zmcf->covered = 1;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    zlcf->handler = clcf->handler;
    zlcf->route = ngx_zertiban_handlers_route(cf, module, cmd);

    if (zlcf->route == NULL) {
        return NGX_CONF_ERROR;
    }

    zlcf->upstream = ngx_zertiban_handlers_upstream(cf, zlcf->route);

    clcf->handler = ngx_zertiban_handler;

    return NGX_CONF_OK;
}


/* NULL if the module does not have a directive of this name */

static ngx_command_t *
ngx_zertiban_handlers_find(ngx_module_t *module, ngx_str_t *name)
{
    ngx_command_t  *cmd;

    if (module->type != NGX_HTTP_MODULE || module->commands == NULL) {
        return NULL;
    }

    for (cmd = module->commands; cmd->name.len; cmd++) {

        if (cmd->name.len == name->len
            && ngx_strncmp(cmd->name.data, name->data, name->len) == 0)
        {
            return cmd;
        }
    }

    return NULL;
}


/*
 * Where in a module's configuration the part is that all upstreams have, a
 * directive tells that sets a member of it.
 */

static ngx_zertiban_route_t *
ngx_zertiban_handlers_route(ngx_conf_t *cf, ngx_module_t *module,
    ngx_command_t *cmd)
{
    ngx_str_t             *value, name;
    ngx_command_t         *timeout;
    ngx_zertiban_route_t  *route;
    u_char                 buf[32];

    route = ngx_pcalloc(cf->pool, sizeof(ngx_zertiban_route_t));
    if (route == NULL) {
        return NULL;
    }

    value = cf->args->elts;

    route->prefix.data = cmd->name.data;
    route->prefix.len = cmd->name.len - (sizeof("_pass") - 1);
    ngx_zertiban_place_set(&route->place, cf);
    route->scheme = cmd->post;
    route->ssl = ngx_zertiban_handlers_ssl(&value[1], cmd->post) ? 1 : 0;

    name.data = buf;
    name.len = ngx_snprintf(buf, sizeof(buf), "%V_connect_timeout",
                            &route->prefix)
               - buf;

    timeout = ngx_zertiban_handlers_find(module, &name);

    if (timeout == NULL) {
        return NULL;
    }

    route->module = module;
    route->offset = timeout->offset
                    - offsetof(ngx_http_upstream_conf_t, connect_timeout);

    return route;
}


/* whether what is configured has the scheme of TLS, or may have it */

static ngx_uint_t
ngx_zertiban_handlers_ssl(ngx_str_t *url, char *scheme)
{
    u_char  *p, *last;
    size_t   len;

    if (scheme == NULL) {
        return 0;
    }

    len = ngx_strlen(scheme);

    if (url->len > len
        && ngx_strncasecmp(url->data, (u_char *) scheme, len) == 0)
    {
        return 1;
    }

    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, '$');

    return p && ngx_strlcasestrn(url->data, p, (u_char *) "://", 3 - 1) == NULL;
}


static ngx_http_upstream_conf_t *
ngx_zertiban_handlers_upstream(ngx_conf_t *cf, ngx_zertiban_route_t *route)
{
    char                 *conf;
    ngx_http_conf_ctx_t  *ctx;

    ctx = cf->ctx;
    conf = ctx->loc_conf[route->module->ctx_index];

    return (ngx_http_upstream_conf_t *) (conf + route->offset);
}


ngx_uint_t
ngx_zertiban_handlers_merge(ngx_conf_t *cf, ngx_zertiban_loc_conf_t *prev,
    ngx_zertiban_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_zertiban_own_requests(cf)) {
        conf->enable = 0;
    }

    if (conf->handler) {

        if (clcf->handler != ngx_zertiban_handler) {

            /* another directive has put its own before it */

            conf->wrapper = clcf->handler;
        }

        if (conf->enable) {
            clcf->handler = ngx_zertiban_handler;

        } else if (conf->wrapper == NULL) {
            clcf->handler = conf->handler;
        }

    } else if (clcf->noname) {

        /* "if" and "limit_except" keep that of the location they are in */

        conf->handler = prev->handler;
        conf->wrapper = prev->wrapper;
        conf->route = prev->route;

        if (conf->route) {
            conf->upstream = ngx_zertiban_handlers_upstream(cf, conf->route);
        }

        if (conf->handler && conf->enable && clcf->handler == NULL) {
            clcf->handler = ngx_zertiban_handler;
        }
    }

    return conf->handler && conf->enable;
}
