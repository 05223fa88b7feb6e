#include "plan.h"
#include "host.h"

#include <aio.h>
#include <errno.h>
#include <stdlib.h>

enum {
    CALLBACK_STACK = 4 << 20,   /* 1,000 Python frames that go through C take 3 MiB */
    QUEUE_STACK = 64 << 10,     /* for queue_push, which needs less than 1 KiB */
};

size_t callback_stack = CALLBACK_STACK;

/* stack 0 means ours.  NULL with errno EINVAL for one that pthread_attr_setstacksize refuses. */
struct plan *plan_new(int notify, int signo, uintptr_t value, int token, struct queue *queue,
                      size_t stack)
{
    struct plan *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->sigev.sigev_notify = notify;
    p->sigev.sigev_signo = signo;
    p->sigev.sigev_value.sival_ptr = (void *)value;
    p->token = token;
    p->queue = queue;
    atomic_store(&p->users, 1);
    pthread_attr_init(&p->attr);
    /* the stack of a joinable thread would leak */
    pthread_attr_setdetachstate(&p->attr, PTHREAD_CREATE_DETACHED);
    stack = stack ? stack : queue ? QUEUE_STACK : callback_stack;
    int error = pthread_attr_setstacksize(&p->attr, stack);
    if (error) {
        free(p);
        errno = error;
        return NULL;
    }
    if (queue)
        queue_own(queue);
    else if (notify == SIGEV_THREAD)
        host_expects_callbacks();
    return p;
}

void plan_hold(struct plan *p)
{
    if (p)
        atomic_fetch_add(&p->users, 1);
}

/* A helper may still be in pthread_create and read the attributes, though the thread that it made
 * has run and ended.  The helper holds glibc's mutex meanwhile, and aio_error() takes that. */
void plan_release(struct plan *p)
{
    static struct aiocb nobody;
    if (p == NULL || atomic_fetch_sub(&p->users, 1) > 1 || forked)
        return;
    aio_error(&nobody);
    pthread_attr_destroy(&p->attr);
    if (p->queue)
        queue_free(p->queue);
    free(p);
}

int plan_in_use(const struct plan *p)
{
    return atomic_load(&p->users) > 1;
}
