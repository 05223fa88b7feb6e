/* CompletionQueue's C side: pushed to by notification threads without a lock, taken from in batches.
 *
 * State: struct queue.  - A push that finds the stack empty makes the eventfd readable; a taker clears the
 * eventfd before it takes the whole stack, so that nothing can arrive unseen.  - What does not fit into a batch
 * waits in `ready`, and the eventfd stays readable.  - The eventfd is closed by the last user (Python until close(),
 * a notice that will push, a taker), not before: a thread on its way must never write to somebody else's descriptor
 * of the same number.  - The memory belongs to the users and to the Python object; a closed queue may still be named.
 * - Closing and pushing both discard after they have done their part, so nothing is left in a closed queue: values
 * and buffers are let go, results stay with their requests.
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
    atomic_store(&q->users, 1);
    atomic_store(&q->owners, 2);
    return q;
}

/* Gives up the memory: what the Python object does in the end. */
void queue_free(struct queue *q)
{
    if (atomic_fetch_sub(&q->owners, 1) > 1)
        return;
    pthread_mutex_destroy(&q->takers);
    free(q);
}

/* 1, or 0 when it is closed and its last user gone. */
int queue_hold(struct queue *q)
{
    int users = atomic_load(&q->users);
    while (users > 0)
        if (atomic_compare_exchange_weak(&q->users, &users, users + 1))
            return 1;
    return 0;
}

void queue_drop(struct queue *q)
{
    if (atomic_fetch_sub(&q->users, 1) > 1)
        return;
    close(q->fd);
    queue_free(q);
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

/* Letting go runs Python's destructors, and so must not hold the lock. */
static void queue_discard(struct queue *q)
{
    struct notice *lists[2], *next;
    pthread_mutex_lock(&q->takers);
    lists[0] = q->ready;
    q->ready = NULL;
    lists[1] = queue_swap(q);
    pthread_mutex_unlock(&q->takers);
    for (int i = 0; i < 2; i++)
        for (struct notice *n = lists[i]; n != NULL; n = next) {
            next = n->next;
            gate_call(n);
        }
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
    struct notice *newest = atomic_load(&q->newest);
    do
        n->next = newest;
    while (!atomic_compare_exchange_weak(&q->newest, &newest, n));
    if (newest == NULL)
        queue_ring(q);
    if (atomic_load(&q->closed))
        queue_discard(q);
    queue_drop(q);
}

/* Once.  In a forked child the eventfd is still the parent's. */
void queue_close(struct queue *q)
{
    if (forked || atomic_exchange(&q->closed, true))
        return;
    queue_ring(q);
    queue_discard(q);
    queue_drop(q);
}

/* Up to room indices of notices, in order of completion, into out; returns how many, or -1 for a closed queue. */
int queue_take(struct queue *q, uint32_t *out, int room)
{
    int n = 0;
    eventfd_t seen;
    if (!queue_hold(q))
        return -1;
    pthread_mutex_lock(&q->takers);
    if (atomic_load(&q->closed)) {
        n = -1;
    } else {
        eventfd_read(q->fd, &seen);
        if (q->ready == NULL)
            q->ready = queue_swap(q);
        for (; n < room && q->ready != NULL; n++, q->ready = q->ready->next)
            out[n] = q->ready->index;
        if (q->ready != NULL || atomic_load(&q->newest) != NULL)
            queue_ring(q);
    }
    pthread_mutex_unlock(&q->takers);
    queue_drop(q);
    return n;
}

/* Waits until there is something to take or the queue is closed, at most so many milliseconds. */
void queue_wait(struct queue *q, int milliseconds)
{
    if (!queue_hold(q))
        return;
    struct pollfd p = { .fd = q->fd, .events = POLLIN };
    poll(&p, 1, milliseconds);
    queue_drop(q);
}
