/* State: struct queue, and `discarded`, which arrived for closed queues and waits for the
 * sweeper. */
#include "queue.h"
#include "alarm.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Atomic(struct queued *) discarded;

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

void queue_own(struct queue *q)
{
    atomic_fetch_add(&q->owners, 1);
}

/* Gives up the memory. */
void queue_free(struct queue *q)
{
    if (atomic_fetch_sub(&q->owners, 1) > 1)
        return;
    pthread_mutex_destroy(&q->takers);
    free(q);
}

bool queue_hold(struct queue *q)
{
    int users = atomic_load(&q->users);
    while (users > 0)
        if (atomic_compare_exchange_weak(&q->users, &users, users + 1))
            return true;
    return false;
}

void queue_drop(struct queue *q)
{
    if (atomic_fetch_sub(&q->users, 1) > 1)
        return;
    close(q->fd);
    queue_free(q);
}

static void push(_Atomic(struct queued *) *stack, struct queued *item, struct queued **newest)
{
    *newest = atomic_load(stack);
    do
        item->next = *newest;
    while (!atomic_compare_exchange_weak(stack, newest, item));
}

/* All of a stack, oldest first. */
static struct queued *take_all(_Atomic(struct queued *) *stack)
{
    struct queued *oldest = NULL, *next;
    for (struct queued *i = atomic_exchange(stack, NULL); i != NULL; i = next) {
        next = i->next;
        i->next = oldest;
        oldest = i;
    }
    return oldest;
}

void queue_discard(struct queued *item)
{
    struct queued *newest;
    push(&discarded, item, &newest);
    alarm_ring();
}

bool queue_has_discarded(void)
{
    return atomic_load(&discarded) != NULL;
}

struct queued *queue_discarded(void)
{
    return take_all(&discarded);
}

static void discard_all(struct queue *q)
{
    struct queued *lists[2], *next;
    pthread_mutex_lock(&q->takers);
    lists[0] = q->ready;
    q->ready = NULL;
    lists[1] = take_all(&q->newest);
    pthread_mutex_unlock(&q->takers);
    for (int i = 0; i < 2; i++)
        for (struct queued *item = lists[i]; item != NULL; item = next) {
            next = item->next;
            queue_discard(item);
        }
}

static void ring(struct queue *q)
{
    if (eventfd_write(q->fd, 1) != 0) {
        /* EAGAIN means that the counter is at its maximum.  The eventfd is readable then. */
    }
}

void queue_push(struct queue *q, struct queued *item)
{
    struct queued *newest;
    push(&q->newest, item, &newest);
    if (newest == NULL)
        ring(q);
    if (atomic_load(&q->closed))
        discard_all(q);
    queue_drop(q);
}

/* Once.  In a forked child the eventfd is still the parent's. */
void queue_close(struct queue *q)
{
    if (forked || atomic_exchange(&q->closed, true))
        return;
    ring(q);
    discard_all(q);
    queue_drop(q);
}

/* Up to room of them, in order of completion. */
int queue_take(struct queue *q, struct queued **out, int room)
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
            q->ready = take_all(&q->newest);
        for (; n < room && q->ready != NULL; n++, q->ready = q->ready->next)
            out[n] = q->ready;
        if (q->ready != NULL || atomic_load(&q->newest) != NULL)
            ring(q);
    }
    pthread_mutex_unlock(&q->takers);
    queue_drop(q);
    return n;
}

/* The queue may have been closed meanwhile, and its descriptor may be another file's. */
void queue_put_back(struct queue *q, struct queued **items, int n)
{
    bool open = queue_hold(q);
    pthread_mutex_lock(&q->takers);
    while (n-- > 0) {
        items[n]->next = q->ready;
        q->ready = items[n];
    }
    pthread_mutex_unlock(&q->takers);
    if (open)
        ring(q);
    if (atomic_load(&q->closed))
        discard_all(q);
    if (open)
        queue_drop(q);
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
