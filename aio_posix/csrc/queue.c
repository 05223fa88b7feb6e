/* CompletionQueue's C side: pushed to by notification threads without a lock, taken from in batches.
 *
 * State: struct queue.  - A push that finds the stack empty makes the eventfd readable; a taker clears the
 * eventfd before it takes the whole stack, so that nothing can arrive unseen.  - What does not fit into a batch
 * waits in `ready`, and the eventfd stays readable.  - The eventfd is closed by the last holder, not before:
 * a thread on its way must never write to somebody else's descriptor of the same number.  What was pushed after
 * close() is discarded: values and buffers are let go, results stay with their requests.
 */
#include "notify.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue *queue_new(void)
{
    struct queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->fd == -1) {
        int error = errno;
        free(q);
        errno = error;
        return NULL;
    }
    pthread_mutex_init(&q->takers, NULL);
    atomic_store(&q->holders, 1);
    return q;
}

void queue_hold(struct queue *q)
{
    atomic_fetch_add(&q->holders, 1);
}

static struct notice *queue_swap(struct queue *q)
{
    struct notice *oldest = NULL, *next;
    for (struct notice *i = atomic_exchange(&q->newest, NULL); i != NULL; i = next) {
        next = i->next;
        i->next = oldest;
        oldest = i;
    }
    return oldest;
}

static void queue_discard(struct queue *q)
{
    struct notice *next;
    for (int pass = 0; pass < 2; pass++) {
        for (struct notice *i = q->ready; i != NULL; i = next) {
            next = i->next;
            gate_call(i);
        }
        q->ready = queue_swap(q);
    }
}

void queue_drop(struct queue *q)
{
    if (atomic_fetch_sub(&q->holders, 1) > 1 || forked)
        return;
    queue_discard(q);
    close(q->fd);
    pthread_mutex_destroy(&q->takers);
    free(q);
}

void queue_ring(struct queue *q)
{
    if (eventfd_write(q->fd, 1) != 0) {
        /* EAGAIN: the counter is at its maximum, so it is readable already */
    }
}

void queue_push(struct notice *n)
{
    struct queue *q = n->queue;
    if (atomic_load(&q->closed)) {
        gate_call(n);
        queue_drop(q);
        return;
    }
    struct notice *newest = atomic_load(&q->newest);
    do
        n->next = newest;
    while (!atomic_compare_exchange_weak(&q->newest, &newest, n));
    if (newest == NULL)
        queue_ring(q);
    queue_drop(q);
}

/* Gives up Python's hold. */
void queue_close(struct queue *q)
{
    atomic_store(&q->closed, true);
    queue_drop(q);
}

/* Up to room indices of notices, in order of completion, into out; returns how many. */
int queue_take(struct queue *q, uint32_t *out, int room)
{
    int n = 0;
    eventfd_t seen;
    pthread_mutex_lock(&q->takers);
    eventfd_read(q->fd, &seen);
    if (q->ready == NULL)
        q->ready = queue_swap(q);
    for (; n < room && q->ready != NULL; n++, q->ready = q->ready->next)
        out[n] = q->ready->index;
    if (q->ready != NULL || atomic_load(&q->newest) != NULL)
        queue_ring(q);
    pthread_mutex_unlock(&q->takers);
    return n;
}

/* Waits until there is something to take: 1, or 0 after so many milliseconds (-1: for ever), or minus an errno. */
int queue_wait(struct queue *q, int milliseconds)
{
    struct pollfd p = { .fd = q->fd, .events = POLLIN };
    int rc = poll(&p, 1, milliseconds);
    return rc < 0 ? -errno : rc;
}
