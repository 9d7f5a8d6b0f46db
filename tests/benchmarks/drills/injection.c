/* Loaded before libc: of the calls that change files below DRILL_FOLDER, has one fail, kill or wait.

   cc -shared -fPIC -o injection.so injection.c -ldl
   Nothing happens until arm(n, action, argument): then the n-th call from there fails with the error
   `argument` (action 1), kills the process (2) or waits `argument` milliseconds before it goes on
   (3). calls() says how many there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static atomic_int count, wanted, armed;
static int action, argument;

void arm(int n, int what, int with) {
    action = what; argument = with;
    atomic_store(&count, 0); atomic_store(&wanted, n); atomic_store(&armed, 1);
}
int calls(void) { return atomic_load(&count); }

static int below(const char *path) {
    const char *folder = getenv("DRILL_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}
static int is_below(int descriptor) {
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}
/* Whether this call has to fail. */
static int hit(int concerned) {
    if (!atomic_load(&armed) || !concerned) return 0;
    if (atomic_fetch_add(&count, 1) + 1 != atomic_load(&wanted)) return 0;
    if (action == 2) kill(getpid(), SIGKILL);
    if (action == 3) {
        struct timespec wait = {argument / 1000, (argument % 1000) * 1000000L};
        nanosleep(&wait, NULL);
    }
    if (action != 1) return 0;
    errno = argument;
    return 1;
}
#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))
#define FD(type, name, declared, fd, passed, ...) \
    type name declared { if (hit(is_below(fd))) return -1; return REAL(type, name, __VA_ARGS__) passed; }
#define PATH(name, declared, path, passed, ...) \
    int name declared { if (hit(below(path))) return -1; return REAL(int, name, __VA_ARGS__) passed; }

FD(ssize_t, write, (int f, const void *b, size_t n), f, (f, b, n), int, const void *, size_t)
FD(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), f, (f, b, n, o), int, const void *, size_t, off64_t)
FD(ssize_t, sendfile64, (int t, int f, off64_t *o, size_t n), t, (t, f, o, n), int, int, off64_t *, size_t)
FD(ssize_t, copy_file_range, (int f, off64_t *a, int t, off64_t *b, size_t n, unsigned g), t, (f, a, t, b, n, g), int, off64_t *, int, off64_t *, size_t, unsigned)
FD(int, fsync, (int f), f, (f), int)
FD(int, fdatasync, (int f), f, (f), int)
FD(int, ftruncate64, (int f, off64_t n), f, (f, n), int, off64_t)
PATH(rename, (const char *a, const char *b), b, (a, b), const char *, const char *)
PATH(link, (const char *a, const char *b), b, (a, b), const char *, const char *)
PATH(linkat, (int x, const char *a, int y, const char *b, int f), b, (x, a, y, b, f), int, const char *, int, const char *, int)
PATH(mkdir, (const char *p, mode_t m), p, (p, m), const char *, mode_t)
PATH(unlink, (const char *p), p, (p), const char *)
PATH(rmdir, (const char *p), p, (p), const char *)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if (hit((flags & 0100) && below(path))) return -1; \
        return REAL(int, name, const char *, int, mode_t)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
