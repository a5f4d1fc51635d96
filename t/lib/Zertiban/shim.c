
/*
 * To be preloaded into nginx: its wall clock can be set off, epoll can be made
 * to fail, one process can be kept from getting what it needs, and one can be
 * killed or stopped in the middle of a copy, a look or a wipe, and so with the
 * mutex of a zone.  What is to be done is in a file that all processes map and
 * the test writes; see Shim.pm.  Addresses for documentation lead to this
 * machine, where no others are sure to do, and there are two names for them.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "control.h"


enum {
    NOWHERE = 0,
    PUBLISH,                    /* <text> is copied behind "Bearer " */
    LOOK,                       /* whether another process lives */
    EVICT                       /* a piece with "Bearer <text>" is wiped */
};


typedef struct {
    int64_t    offset;          /* s, of the wall clock */
    uint32_t   where;
    uint32_t   signal;
    uint32_t   pid;             /* of the process that got it */
    uint32_t   len;
    char       text[228];
    uint32_t   unwatched;       /* no more events of connections */
    uint32_t   lacks;           /* what one process does not get any more */
    uint32_t   poor;            /* its pid */
} control_t;


enum {
    NOTHING = 0,
    SOCKETS,                    /* of IP */
    PORTS,
    TLS,                        /* SSL_new() */
    JSON                        /* memory, for cJSON */
};


static control_t  *control;

static const char  scheme[] = "Bearer ";

#define SCHEME_LEN  (sizeof(scheme) - 1)


__attribute__((constructor))
static void
init(void)
{
    control = control_map("ZERTIBAN_SHIM", sizeof(control_t));
}


/* whether a text begins with another one */

static int
begins(const char *p, size_t n, const char *text, size_t len)
{
    if (n < len) {
        return 0;
    }

    while (len--) {
        if (*p++ != *text++) {
            return 0;
        }
    }

    return 1;
}


static int
begins_with_token(const char *p, size_t n)
{
    return begins(p, n, scheme, SCHEME_LEN)
           && begins(p + SCHEME_LEN, n - SCHEME_LEN,
                     control->text, control->len);
}


/* of all processes that come here only one goes on */

static void
strike(uint32_t where)
{
    uint32_t  signal;

    signal = control->signal;

    if (!__sync_bool_compare_and_swap(&control->where, where, NOWHERE)) {
        return;
    }

    control->pid = getpid();

    syscall(SYS_kill, getpid(), signal);
}


void *
memcpy(void *dst, const void *src, size_t n)
{
    char        *d, *half;
    uint32_t     where;
    const char  *s;

    d = dst;
    s = src;
    half = NULL;
    where = control ? control->where : NOWHERE;

    if (where == PUBLISH
        && begins(s, n, control->text, control->len)
        && begins(d - SCHEME_LEN, SCHEME_LEN, scheme, SCHEME_LEN))
    {
        half = d + n / 2;
    }

    while (n--) {
        if (d == half) {
            strike(where);
        }

        *d++ = *s++;
    }

    return dst;
}


void *
memset(void *dst, int c, size_t n)
{
    char  *d, *half;

    d = dst;
    half = NULL;

    /* a piece begins with a pointer to the next one */

    if (control && control->where == EVICT && n > sizeof(void *)
        && begins_with_token(d + sizeof(void *), n - sizeof(void *)))
    {
        half = d + n / 2;
    }

    while (n--) {
        if (d == half) {
            strike(EVICT);
        }

        *d++ = c;
    }

    return dst;
}


int
kill(pid_t pid, int sig)
{
    if (control && control->where == LOOK && sig == 0) {
        strike(LOOK);
    }

    return syscall(SYS_kill, pid, sig);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = syscall(SYS_clock_gettime, id, ts);

    if (rc == 0 && control
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ts->tv_sec += control->offset;
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}


/* whether this process lacks it */

static int
lacks(uint32_t what)
{
    return control && control->lacks == what
           && control->poor == (uint32_t) getpid();
}


int
socket(int domain, int type, int protocol)
{
    if (domain != AF_UNIX && lacks(SOCKETS)) {
        errno = EMFILE;
        return -1;
    }

    return syscall(SYS_socket, domain, type, protocol);
}


/* 192.0.2.0/24 and 2001:db8::/32, RFC 5737 and RFC 3849, are 127.0.0.1 */

static void
local(struct sockaddr_storage *ss, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    static const unsigned char  net[] = { 0x20, 0x01, 0x0d, 0xb8 };
    static const unsigned char  test[] = { 0, 0, 0, 0, 0, 0, 0, 0,
                                           0, 0, 0xff, 0xff, 192, 0, 2 };
    static const unsigned char  mapped[16] = { 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0xff, 0xff, 127, 0, 0, 1 };

    memcpy(ss, addr, len);

    sin = (struct sockaddr_in *) ss;
    sin6 = (struct sockaddr_in6 *) ss;

    if (ss->ss_family == AF_INET
        && ntohl(sin->sin_addr.s_addr) >> 8 == 0xc00002)
    {
        sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }

    if (ss->ss_family == AF_INET6
        && (memcmp(&sin6->sin6_addr, net, sizeof(net)) == 0
            || memcmp(&sin6->sin6_addr, test, sizeof(test)) == 0))
    {
        memcpy(&sin6->sin6_addr, mapped, sizeof(mapped));
    }
}


int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_storage  elsewhere;

    if (addr->sa_family != AF_UNIX && lacks(PORTS)) {
        errno = EADDRNOTAVAIL;
        return -1;
    }

    local(&elsewhere, addr, len);

    return syscall(SYS_connect, fd, &elsewhere, len);
}


/* elsewhere.example is 192.0.2.1, and both.example is 127.0.0.1 as well */

int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    int               rc, both;
    struct addrinfo  *ai;

    int  (*next)(const char *, const char *, const struct addrinfo *,
                 struct addrinfo **);

    *(void **) &next = dlsym(RTLD_NEXT, "getaddrinfo");

    both = node && strcmp(node, "both.example") == 0;

    if (!both && (node == NULL || strcmp(node, "elsewhere.example") != 0)) {
        return next(node, service, hints, res);
    }

    rc = next("192.0.2.1", service, hints, res);

    if (rc == 0 && both) {

        for (ai = *res; ai->ai_next; ai = ai->ai_next) { /* void */ }

        rc = next("127.0.0.1", service, hints, &ai->ai_next);
    }

    return rc;
}


void *
SSL_new(void *ctx)
{
    void  *(*next)(void *);

    if (lacks(TLS)) {
        return NULL;
    }

    *(void **) &next = dlsym(RTLD_NEXT, "SSL_new");

    return next(ctx);
}


/* what cJSON calls malloc() for */

void *
cJSON_ParseWithLengthOpts(const char *value, size_t len, const char **end,
    int null_terminated)
{
    void  *(*next)(const char *, size_t, const char **, int);

    if (lacks(JSON)) {
        errno = ENOMEM;
        return NULL;
    }

    *(void **) &next = dlsym(RTLD_NEXT, "cJSON_ParseWithLengthOpts");

    return next(value, len, end, null_terminated);
}


int
epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    if (control && control->unwatched && op != EPOLL_CTL_DEL) {
        errno = ENOMEM;
        return -1;
    }

    return syscall(SYS_epoll_ctl, ep, op, fd, ev);
}
