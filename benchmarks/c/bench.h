/* What callback.c, queue.c and listio.c share: a clock, a way to stop, the file and the requests.
 *
 * Every program takes FILE first: the harness writes it and both sides read the same one, so its
 * pages are in the page cache. Request i always reads page i. Every program prints one number. */
#ifndef BENCH_H
#define BENCH_H

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const double WARM_UP = 0.1; /* seconds, by which the first helper and stack cache exist */
static const unsigned STALL = 10;  /* seconds over the measured time, until SIGALRM ends it */

static inline _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void nap(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) == -1 && errno == EINTR)
        ;
}

static inline int open_pages(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        die(path);
    return fd;
}

static inline long number(const char *text, long least)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end != '\0' || end == text || value < least || value > INT_MAX) {
        fprintf(stderr, "%s: not a number of at least %ld\n", text, least);
        exit(EXIT_FAILURE);
    }
    return value;
}

static inline double duration(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (*end != '\0' || !(seconds > 0.0 && seconds <= 600.0)) {
        fprintf(stderr, "%s: not a number of seconds between 0 and 600\n", text);
        exit(EXIT_FAILURE);
    }
    alarm((unsigned)seconds + STALL);
    return seconds;
}

/* n zeroed requests, each with a page of its own, told about by nobody. */
static inline struct aiocb *make_requests(int fd, long n)
{
    struct aiocb *cbs = calloc((size_t)n, sizeof *cbs);
    char *pages = malloc((size_t)n * PAGE);
    if (cbs == NULL || pages == NULL)
        die("malloc");
    for (long i = 0; i < n; i++) {
        cbs[i].aio_fildes = fd;
        cbs[i].aio_lio_opcode = LIO_READ;
        cbs[i].aio_buf = pages + i * PAGE;
        cbs[i].aio_nbytes = PAGE;
        cbs[i].aio_offset = (off_t)i * PAGE;
        cbs[i].aio_sigevent.sigev_notify = SIGEV_NONE;
    }
    return cbs;
}

static inline void submit(struct aiocb *cb)
{
    if (aio_read(cb) == -1)
        die("aio_read");
}

static inline void collect(struct aiocb *cb)
{
    int error = aio_error(cb);
    ssize_t count = aio_return(cb);
    if (error != 0 || count != PAGE) {
        fprintf(stderr, "a read ended with error %d and %zd bytes\n", error, count);
        exit(EXIT_FAILURE);
    }
}

/* SIGEV_THREAD. stack_kib 0 means no attributes: glibc then takes RLIMIT_STACK, 8 MiB as a rule.
 * With attributes the threads must be detached by them, or each one leaks its stack. */
static inline struct sigevent by_thread(void (*notify)(union sigval), void *value, long stack_kib)
{
    static pthread_attr_t attributes;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_ptr = value};
    event.sigev_notify_function = notify;
    if (stack_kib > 0) {
        if (pthread_attr_init(&attributes) != 0 ||
            pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) != 0 ||
            pthread_attr_setstacksize(&attributes, (size_t)stack_kib * 1024) != 0)
            die("pthread_attr");
        event.sigev_notify_attributes = &attributes;
    }
    return event;
}

#endif
