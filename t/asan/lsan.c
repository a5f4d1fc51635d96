
/*
 * To be linked with nginx.  LeakSanitizer asks it at the exit of a process
 * whether it is not to look.
 *
 * After "nginx -t" main() returns with the new configuration in a variable of
 * its own and frees nothing, so that everything in it seems lost.  The same
 * memory is looked at whenever master or a worker exits.
 */


#include <ngx_config.h>
#include <ngx_core.h>


int  __lsan_is_turned_off(void);


int
__lsan_is_turned_off(void)
{
    return ngx_test_config;
}
