/* A plan is a sigevent as the user wrote it.  Each submission takes its notification from it. */
#ifndef AIO_POSIX_PLAN_H
#define AIO_POSIX_PLAN_H
#include "queue.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* The si_value of a signal whose sigev_value is an object is this plus a number.  It is no address,
 * and no int that a C program would send. */
#define TOKEN ((uint64_t)0xa105 << 48)

struct plan {
    struct sigevent sigev;
    pthread_attr_t attr;
    bool token;                        /* si_value is TOKEN plus a number */
    struct queue *queue;               /* of SIGEV_THREAD; NULL for a callable of the host's */
    _Atomic unsigned users;            /* the sigevent, and submissions that glibc may notify of */
};

extern size_t callback_stack;          /* bytes, for a callable when the user names no size */

struct plan *plan_new(int notify, int signo, uintptr_t value, int token, struct queue *queue,
                      size_t stack);
void plan_hold(struct plan *p);
void plan_release(struct plan *p);
int plan_in_use(const struct plan *p);

#endif
