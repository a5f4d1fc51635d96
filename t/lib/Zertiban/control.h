
/*
 * The file through which a test tells a preloaded library what to do: all
 * processes of its nginx map it.
 */


#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>


/* NULL without the environment variable, which nginx is going to clear */

static void *
control_map(const char *variable, size_t size)
{
    int          fd;
    void        *p;
    const char  *path;

    path = getenv(variable);
    if (path == NULL) {
        return NULL;
    }

    fd = open(path, O_RDWR);
    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        abort();
    }

    close(fd);

    return p;
}
