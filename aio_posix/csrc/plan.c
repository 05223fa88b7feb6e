/* Plans: a sigevent as the user wrote it, from which each submission takes its notification. */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>

size_t callback_stack = CALLBACK_STACK;

/* A sigevent; stack 0 means ours.  NULL with errno EINVAL for a stack that pthread_attr_setstacksize refuses. */
struct plan *plan_new(int notify, int signo, uintptr_t value, int self, struct queue *queue, size_t stack)
{
    struct plan *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->sigev.sigev_notify = notify;
    p->sigev.sigev_signo = signo;
    p->sigev.sigev_value.sival_ptr = (void *)value;
    p->self = self;
    p->queue = queue;
    pthread_attr_init(&p->attr);
    pthread_attr_setdetachstate(&p->attr, PTHREAD_CREATE_DETACHED);   /* a joinable one would leak its stack */
    int error = pthread_attr_setstacksize(&p->attr, stack ? stack : queue ? QUEUE_STACK : callback_stack);
    if (error) {
        free(p);
        errno = error;
        return NULL;
    }
    if (queue == NULL && notify == SIGEV_THREAD)
        gate_expect_callbacks();
    return p;
}

/* A helper may still be in pthread_create, reading the attributes, though the thread that it made has come and gone.
 * It holds glibc's mutex meanwhile, and aio_error() takes that. */
void plan_free(struct plan *p)
{
    static struct aiocb nobody;
    if (!forked)
        aio_error(&nobody);
    pthread_attr_destroy(&p->attr);
    free(p);
}
