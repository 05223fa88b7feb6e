/* Lists of requests: submitting them, and waiting for one or all of them.
 *
 * - An entry counts as in flight from the moment the list is accepted; glibc gets to know it a moment later.
 * - glibc copies a list to the stack, so it gets pieces.  A list that announces itself by a signal cannot be cut, for
 *   the signal must come after all of it: it is submitted whole, from a thread whose stack is large enough.
 * - A wait is for submissions, not for requests: a callback may have submitted the same request again.
 */
#include "notify.h"

#include <errno.h>
#include <time.h>

enum { ERRAND_STACK = 256 << 10 };   /* for lio_listio, beside the list itself */

/* Between two pieces: every request walks the queue of its descriptor, so let helpers shorten it if they can
 * (100,000 reads of one file: 0.3 s instead of 4 to 58), but wait for none that blocks.  0 if that one was done. */
static int breathe(struct request *last)
{
    const struct timespec pause = { 0, 5000000 };
    return request_watched(&last, 1, &pause);
}

static void fail(struct request *r, int error)
{
    r->cb.__return_value = -1;
    r->cb.__error_code = error;
}

/* 0 or an errno.  An entry that glibc has no memory for stays untouched: no cancelling can find it. */
static int start(struct request **list, size_t n, struct sigevent *sig)
{
    static const struct timespec now;
    if (lio_listio(LIO_NOWAIT, (struct aiocb **)(void *)list, (int)n, sig) == 0)
        return 0;
    int error = errno;
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n; i++) {
        const struct aiocb *cb = &list[i]->cb;
        if (aio_error(cb) == EINPROGRESS && aio_suspend(&cb, 1, &now) == 0 && aio_error(cb) == EINPROGRESS)
            fail(list[i], error);
    }
    pthread_mutex_unlock(&life);
    return error;
}

struct errand {
    struct request **list;
    size_t n;
    struct sigevent *sig;
    int error;
};

static void *run(void *argument)
{
    struct errand *e = argument;
    e->error = start(e->list, e->n, e->sig);
    return NULL;
}

static int start_whole(struct request **list, size_t n, struct sigevent *sig)
{
    struct errand e = { list, n, sig, 0 };
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    pthread_attr_init(&attr);
    int error = pthread_attr_setstacksize(&attr, (ERRAND_STACK + n * sizeof *list) & ~(size_t)4095);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (error == 0)
        error = pthread_create(&thread, &attr, run, &e);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (error == 0)
        pthread_join(thread, NULL);
    else {
        pthread_mutex_lock(&life);
        for (size_t i = 0; i < n; i++)
            fail(list[i], error);
        pthread_mutex_unlock(&life);
    }
    return error ? error : e.error;
}

/* 0; minus an errno with nothing submitted (EINPROGRESS: an entry is in flight); or glibc's errno: then, as in C,
 * each entry tells its own fate, and one that was refused is complete with that error.
 * most: entries of a piece.  number: what a signal for the list carries. */
int list_submit(struct request **list, struct wanted *wanted, size_t n, size_t most, uint64_t number,
                struct plan *plan, uint32_t notice)
{
    int error = 0;
    struct sigevent sigev, *sig = NULL;
    struct notice *told = NULL;

    if (forked)
        return -ENOTSUP;
    pthread_mutex_lock(&submitting);
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n && error == 0; i++)
        if (!request_settle(list[i], atomic_load(&list[i]->word) >> 2))
            error = EINPROGRESS;
    if (error == 0)
        error = sweeper_needed();
    if (error == 0 && plan != NULL && plan->sigev.sigev_notify != SIGEV_NONE) {
        sigev = plan->sigev;
        sig = &sigev;
        if (plan->self)
            sigev.sigev_value.sival_ptr = (void *)(uintptr_t)(TOKEN | number);
        if (sigev.sigev_notify == SIGEV_THREAD && (told = notice_owe_list(notice, list, n, plan, sig)) == NULL)
            error = ENOMEM;
    }
    if (error) {
        pthread_mutex_unlock(&life);
        pthread_mutex_unlock(&submitting);
        return -error;
    }
    for (size_t i = 0; i < n; i++) {
        request_unwatched(list[i]);
        request_fly(list[i], &wanted[i]);
        if (told)
            told->serials[i] = wanted[i].serial;
    }
    pthread_mutex_unlock(&life);
    size_t from = 0;
    int blocked = 0;
    if (sig != NULL && told == NULL && n > most) {
        error = start_whole(list, n, sig);
        from = n;
    }
    while (from < n || n == 0) {   /* an empty list still notifies, as in C */
        size_t piece = n - from < most ? n - from : most;
        int refused = start(list + from, piece, sig);   /* a notice counts its pieces */
        error = error ? error : refused;
        from += piece;
        if (from >= n)
            break;
        pthread_mutex_unlock(&submitting);
        if (most == PIECE)
            breathe(list[from - 1]);
        else if (!blocked && from > most)   /* of the piece before: helpers are never out of work */
            blocked = breathe(list[from - most - 1]);
        pthread_mutex_lock(&submitting);
    }
    pthread_mutex_unlock(&submitting);
    return error;
}

/* How many of the list are still in flight. */
size_t list_poll(struct request **list, size_t n)
{
    size_t left = 0;
    if (forked)
        return 0;
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n; i++)
        left += !request_settle(list[i], atomic_load(&list[i]->word) >> 2);
    pthread_mutex_unlock(&life);
    return left;
}

/* Whether one of these submissions is over. */
int list_any(struct request **list, const uint64_t *serials, size_t n)
{
    int any = 0;
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n && !any; i++)
        any = request_settle(list[i], serials[i]);
    pthread_mutex_unlock(&life);
    return any;
}

/* Of the first n submissions, how many remain when those at the end that are over are left out. */
size_t list_left(struct request **list, const uint64_t *serials, size_t n)
{
    pthread_mutex_lock(&life);
    while (n > 0 && request_settle(list[n - 1], serials[n - 1]))
        n--;
    pthread_mutex_unlock(&life);
    return n;
}

/* One slice of waiting: 0, EAGAIN when it ended first, EINTR.  A longer list than PIECE is watched in pieces,
 * a different one each time: glibc copies the list to the stack and searches its queues for every entry. */
int list_suspend(struct request **list, size_t n, int64_t nanoseconds)
{
    static atomic_size_t turn;
    size_t from = n > PIECE ? atomic_fetch_add(&turn, PIECE) % (n - PIECE + 1) : 0;
    struct timespec slice = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    return request_watched(list + from, n > PIECE ? PIECE : n, &slice);
}
