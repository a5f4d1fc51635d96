
/*
 * To be linked with nginx: what LeakSanitizer cannot know of it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <sanitizer/lsan_interface.h>


ngx_ssl_session_t *__real_ngx_ssl_get_session(ngx_connection_t *c);
ngx_ssl_session_t *__wrap_ngx_ssl_get_session(ngx_connection_t *c);


/*
 * After "nginx -t" main() returns with the new configuration in a variable of
 * its own and frees nothing, so that everything in it seems lost.  The same
 * memory is looked at whenever master or a worker exits.
 */

int
__lsan_is_turned_off(void)
{
    return ngx_test_config;
}


/*
 * ngx_http_upstream_save_round_robin_peer_session() keeps the last session of
 * each peer, and frees it for the next one only: a worker exits with it.
 * ld's option --wrap brings calls from nginx here, not those from elsewhere.
 */

ngx_ssl_session_t *
__wrap_ngx_ssl_get_session(ngx_connection_t *c)
{
    ngx_ssl_session_t  *session;

    session = __real_ngx_ssl_get_session(c);

    if (session) {
        __lsan_ignore_object(session);
    }

    return session;
}
