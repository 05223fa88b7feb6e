/* State, under `mutex`: `first` and `last` are the ends of the lists that no waiter has taken,
 * oldest first.  `threads` counts the waiters, `idle` those of them that have no list, and `most`
 * says how many there may be.
 */
#include "waiter.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAITERS = 3, WAITERS_MOST = 64, IDLE_SECONDS = 1, WAITER_STACK = 64 << 10 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted;
static struct wait *first, *last;
static int threads, idle, most = WAITERS;

struct bell *bell_new(void)
{
    struct bell *bell = malloc(sizeof *bell);
    if (bell == NULL)
        return NULL;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd == -1) {
        int error = errno;
        free(bell);
        errno = error;
        return NULL;
    }
    atomic_init(&bell->users, 1);
    return bell;
}

void bell_drop(struct bell *bell)
{
    if (atomic_fetch_sub(&bell->users, 1) > 1)
        return;
    close(bell->fd);
    free(bell);
}

void bell_ring(struct bell *bell)
{
    if (eventfd_write(bell->fd, 1) != 0) {
        /* EAGAIN means that the counter is at its maximum.  The eventfd is readable then. */
    }
}

void bell_hush(struct bell *bell)
{
    eventfd_t seen;
    if (eventfd_read(bell->fd, &seen) != 0) {
        /* EAGAIN means that nobody has rung it */
    }
}

static int pending(const struct request *r)
{
    return state_of(atomic_load(&r->word)) == IN_FLIGHT && aio_error(&r->cb) == EINPROGRESS;
}

static void wait_for(const struct wait *w)
{
    const struct timespec moment = { 0, 20000 };
    for (size_t i = w->n; i-- > 0;)
        while (pending(w->members[i]))
            /* A request that cancel.c is submitting again is unknown to glibc for a moment. */
            if (request_watch(&w->members[i], 1, NULL) == 0 && pending(w->members[i]))
                nanosleep(&moment, NULL);
}

static void *wait_on(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&mutex);
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_SECONDS;
        idle++;
        while (first == NULL && pthread_cond_timedwait(&posted, &mutex, &until) != ETIMEDOUT) {
        }
        idle--;
        struct wait *w = first;
        if (w == NULL)
            break;
        first = w->next;
        if (first == NULL)
            last = NULL;
        pthread_mutex_unlock(&mutex);
        wait_for(w);
        struct bell *bell = w->bell;
        int expected = A_WAITER;
        if (!atomic_compare_exchange_strong(&w->holder, &expected, NO_WAITER))
            free(w->memory);   /* given up, and otherwise the list may be gone from here on */
        bell_ring(bell);
        bell_drop(bell);
        pthread_mutex_lock(&mutex);
    }
    threads--;
    if (threads < WAITERS)
        most = WAITERS;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Under mutex. */
static int start_one(void)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    static int ready;
    if (!ready) {
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&posted, &monotonic);
        pthread_condattr_destroy(&monotonic);
        ready = 1;
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, WAITER_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, &attr, wait_on, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (error == 0)
        threads++;
    return error;
}

/* The bell rings when all n requests are complete.  0, or an errno when there is no thread to wait
 * and the bell will not ring. */
int wait_post(struct wait *w, struct request **members, size_t n, struct bell *bell)
{
    int error = 0;
    w->members = members;
    w->n = n;
    w->bell = bell;
    w->next = NULL;
    pthread_mutex_lock(&mutex);
    if (idle == 0 && threads < most)
        error = start_one();
    if (threads > 0) {
        error = 0;
        atomic_store(&w->holder, A_WAITER);
        atomic_fetch_add(&bell->users, 1);
        if (last != NULL)
            last->next = w;
        else
            first = w;
        last = w;
        if (idle > 0)
            pthread_cond_signal(&posted);
    }
    pthread_mutex_unlock(&mutex);
    return error;
}

/* The owner of a list gives its memory back, at once or when the waiter has left it. */
void wait_give_up(struct wait *w, void *memory)
{
    w->memory = memory;
    if (atomic_exchange(&w->holder, GIVEN_UP) == NO_WAITER)
        free(memory);
}

/* Lists were complete and nobody had rung for them, so all waiters may be asleep with lists that
 * are stuck. */
void waiters_more(void)
{
    pthread_mutex_lock(&mutex);
    if (first != NULL && idle == 0 && most < WAITERS_MOST) {
        most++;
        start_one();
    }
    pthread_mutex_unlock(&mutex);
}

static void in_child(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    mutex = fresh;
    first = last = NULL;
    threads = idle = 0;
    most = WAITERS;
}

int waiters_start(void)
{
    return pthread_atfork(NULL, NULL, in_child);
}
