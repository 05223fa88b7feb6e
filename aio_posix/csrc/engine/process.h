/* What there is once in a process, which is two locks and whether it was forked.
 *
 * - `submitting` is held over every call that changes glibc's queues, so that the repair of a queue
 *   after a cancellation (cancel.c) cannot interleave with a submission.
 * - `life` guards what we know of requests and notices.  It is never held for long, and not over a
 *   submission, because glibc may make a thread there and every notification thread needs `life`.
 * - Lock order: submitting, life, glibc's own mutex.
 * - A forked child has neither glibc's threads nor a mutex that can be trusted.  Every entry checks
 *   `forked` before it takes a lock.
 */
#ifndef AIO_POSIX_PROCESS_H
#define AIO_POSIX_PROCESS_H
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

_Static_assert(sizeof(void *) == 8, "aio_posix needs 64 bits: a ticket is a pointer");

extern pthread_mutex_t submitting, life;
extern int forked;               /* set once, in a child whose parent has touched AIO */

int process_start(void);         /* 0 or an errno */
void process_touches_aio(void);  /* before a submission's first lock, as a fork may come then */

#endif
