#include "list.h"
#include "sweeper.h"

#include <errno.h>
#include <time.h>

enum { ERRAND_STACK = 256 << 10 };   /* for lio_listio, beside the list itself */

/* Called between two pieces.  Every submission walks the queue of its descriptor, so helpers may
 * shorten it first, which makes 100,000 reads of one file take 0.3 s instead of 4 to 58.  A request
 * that blocks is not waited for.  0 if that one was done. */
static int breathe(struct request *last)
{
    const struct timespec pause = { 0, 5000000 };
    return request_watch(&last, 1, &pause);
}

static void fail(struct request *r, int error)
{
    r->cb.__return_value = -1;
    set_error_code(r, error);
}

/* 0 or an errno.  If glibc runs out of memory it leaves the remaining entries as they were.  They
 * are in none of its queues, so we mark them as failed ourselves. */
static int start(struct request **list, size_t n, struct sigevent *sig)
{
    static const struct timespec now;
    if (lio_listio(LIO_NOWAIT, (struct aiocb **)(void *)list, (int)n, sig) == 0)
        return 0;
    int error = errno;
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n; i++) {
        const struct aiocb *cb = &list[i]->cb;
        if (aio_error(cb) == EINPROGRESS && aio_suspend(&cb, 1, &now) == 0
            && aio_error(cb) == EINPROGRESS)
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

/* 0, or the errno that says why the list cannot fly. */
static int refusal(struct listing *l, size_t notices)
{
    int error = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct request *r = l->requests[i];
        if (r->listed)
            error = EEXIST;
        else if (error == 0 && !request_over(r))
            error = EINPROGRESS;
        r->listed = true;
    }
    for (size_t i = 0; i < l->n; i++)
        l->requests[i]->listed = false;
    if (error == 0)
        error = notices_reserve(notices) ? sweeper_needed() : ENOMEM;
    return error;
}

/* Under life.  0 if all entries fly, or an errno if none does. */
static int fly(struct listing *l, struct wanted *whole, struct sigevent *sig)
{
    submit_sigev(sig, whole->plan, whole->number);
    whole->notice = NULL;
    int error = refusal(l, l->n + 1);
    if (error)
        return error;
    if (sig->sigev_notify == SIGEV_THREAD) {
        whole->notice = notice_owe(whole->plan, whole->promise, sig, notified);
        whole->notice->listing = l;
        whole->notice->parts = l->n ? (unsigned)((l->n + PIECE - 1) / PIECE) : 1;
        listing_hold(l);
    }
    for (size_t i = 0; i < l->n; i++) {
        l->serials[i] = l->wanted[i].serial;
        submit_fly(l->requests[i], &l->wanted[i]);
    }
    return 0;
}

int list_submit(struct listing *l, bool waits, struct wanted *whole)
{
    struct sigevent sigev, *sig = &sigev;
    size_t n = l->n, most = waits ? SHORT_PIECE : PIECE, from = 0;
    bool blocked = false;
    if (forked)
        return -ENOTSUP;
    process_touches_aio();
    pthread_mutex_lock(&submitting);
    pthread_mutex_lock(&life);
    int error = fly(l, whole, sig);
    pthread_mutex_unlock(&life);
    if (error) {
        pthread_mutex_unlock(&submitting);
        return -error;
    }
    if (sig->sigev_notify == SIGEV_NONE)
        sig = NULL;
    if (sig != NULL && whole->notice == NULL && n > most) {
        error = start_whole(l->requests, n, sig);
        from = n;
    }
    while (from < n || n == 0) {   /* an empty list still notifies, as in C */
        size_t piece = n - from < most ? n - from : most;
        int refused = start(l->requests + from, piece, sig);   /* a notice counts its pieces */
        error = error ? error : refused;
        from += piece;
        if (from >= n)
            break;
        pthread_mutex_unlock(&submitting);
        if (!waits)
            breathe(l->requests[from - 1]);
        else if (!blocked && from > most)   /* of the piece before, so helpers have work */
            blocked = breathe(l->requests[from - most - 1]);
        pthread_mutex_lock(&submitting);
    }
    pthread_mutex_unlock(&submitting);
    return error;
}

/* Whether one of these submissions is over. */
bool list_any(struct request **list, const uint64_t *serials, size_t n)
{
    bool any = false;
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

/* One slice of waiting.  0, EINTR, or EAGAIN when the slice ended first.  glibc copies the list to
 * the stack and searches its queues for every entry, so a list longer than PIECE is watched in
 * pieces, a different one each time. */
int list_suspend(struct request **list, size_t n, int64_t nanoseconds)
{
    static atomic_size_t turn;
    size_t from = n > PIECE ? atomic_fetch_add(&turn, PIECE) % (n - PIECE + 1) : 0;
    struct timespec slice = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    return request_watch(list + from, n > PIECE ? PIECE : n, &slice);
}
