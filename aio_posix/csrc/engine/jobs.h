/* A line of jobs for standing threads, and where the jobs of an event loop go when they are done.
 *
 * - A job with perform() is done by the thread that takes it, which needs no Python for that.  Any
 *   other job goes to the caller of jobs_take().
 * - A job is begun once, by the thread that takes it or by whoever claims it first.
 * - A job that comes while others wait wakes nobody.  Who takes one wakes the next thread, so a
 *   burst costs the loop one wake-up at most.
 * - The line never ends a thread and makes none.  It says whether one is free.
 * - Whoever does a job pushes it to its loop's `ended`, unless the loop has closed.  The bell rings
 *   for it when the loop is asleep.  A loop that is awake looks by itself.
 * - The last user of an `ended` frees it, so a push needs nothing of the loop.  A job that blocks
 *   keeps no bell of a closed loop.
 * - Threads of the parent do not exist in a forked child, which makes a new line.
 */
#ifndef AIO_POSIX_JOBS_H
#define AIO_POSIX_JOBS_H
#include "waiter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { NEW, QUEUED, BEGUN, DONE };     /* job.state */

struct ended {                         /* of one loop */
    _Atomic(struct job *) latest;      /* those done and not collected, linked by `next` */
    atomic_bool asleep;
    _Atomic long out;                  /* jobs that were put or begun, and not collected */
    _Atomic int pushing;               /* threads that may ring the bell */
    _Atomic int users;                 /* the loop, each job, and each such thread */
    struct bell *bell;                 /* until it is closed */
    pid_t born;                        /* in which process */
};

struct job {
    void (*perform)(struct job *);     /* or NULL */
    struct ended *ended;
    struct jobs *line;
    _Atomic int state;
    struct job *next;
};

struct jobs {
    pthread_mutex_t mutex;
    pthread_cond_t more;
    struct job *first, *last;
    _Atomic size_t queued;
    size_t idle, begun;                /* idle threads wait in jobs_take(), */
    bool spinning;                     /* and one of them may look for jobs instead of sleeping */
    unsigned in_vain;
};

void jobs_init(struct jobs *line);
bool jobs_put(struct jobs *line, struct job *job, bool *free);
struct job *jobs_take(struct jobs *line, double seconds);
int job_claim(struct job *job);
struct ended *ended_new(struct bell *bell);
void ended_drop(struct ended *ended);
bool ended_push(struct job *job);
bool ended_push_again(struct job *job);
struct job *ended_collect(struct ended *ended);
struct job *ended_close(struct ended *ended);
void ended_wake(struct ended *ended);
bool ended_sleep(struct ended *ended);
#endif
