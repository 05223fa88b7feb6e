/* Requests: submitting and polling.
 *
 * State: `submitting` and `life`, the locks (notify.h); `flying`, the ring of requests in flight, oldest first;
 * `orphans`, how many of them have lost their aiocb, and `dead`, the serials of those that are done since (room for all
 * is made when one is abandoned).
 *
 * - `submitting` is held over every submission, so that a repair of a descriptor's queue (see request_cancel) cannot
 *   interleave with one.  `life` is not: glibc may make a thread meanwhile, for 20 us, and every notification thread needs
 *   `life` first.  So a request in flight may be one that glibc does not know yet; it says EINPROGRESS all the same.
 * - aio_error() takes glibc's mutex, so once it says a request is done no helper touches the aiocb
 *   any more.  Only then is a request settled, and only settled memory is given back.
 * - A forked child has neither the threads nor a sane mutex: it is turned away before any lock.
 */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

pthread_mutex_t submitting = PTHREAD_MUTEX_INITIALIZER, life = PTHREAD_MUTEX_INITIALIZER;
int forked;
static atomic_bool used;
static struct request flying = { .before = &flying, .after = &flying };
static size_t orphans, dead_count, dead_room;
static uint64_t *dead;

static void in_child(void)
{
    if (atomic_load(&used) || sweeper_runs())
        forked = 1;
}

int requests_start(void)
{
    return pthread_atfork(NULL, NULL, in_child);
}

int requests_used(void)
{
    return atomic_load(&used);
}

static void fly(struct request *r, uint64_t serial)
{
    r->before = flying.before;
    r->after = &flying;
    r->before->after = r->after->before = r;
    r->orphan = 0;
    r->cb.__error_code = EINPROGRESS;   /* what glibc will say, for who looks before it knows */
    atomic_store(&r->word, serial << 2 | IN_FLIGHT);
}

static void land(struct request *r, uint64_t word)
{
    if (r->orphan) {
        orphans--;
        dead[dead_count++] = atomic_load(&r->word) >> 2;
    }
    r->before->after = r->after;
    r->after->before = r->before;
    atomic_store(&r->word, word);
}

int request_settle(struct request *r, uint64_t serial)
{
    if (atomic_load(&r->word) != (serial << 2 | IN_FLIGHT))
        return 1;
    int error = aio_error(&r->cb);
    if (error == EINPROGRESS)
        return 0;
    r->error = (unsigned char)error;
    land(r, serial << 2 | COMPLETE);
    return 1;
}

/* In the request's own notification thread, which glibc starts after it has stored the result: no need to queue for
 * its mutex behind every helper that has something to notify (10,000 of them in a burst).  The helper may still hold
 * that mutex, so aiocb.__del__ asks for it once (request_fence) before the memory can be given back. */
int request_told(struct request *r, uint64_t serial)
{
    if (r->orphan || atomic_load(&r->word) != (serial << 2 | IN_FLIGHT))
        return request_settle(r, serial);
    if (r->cb.__error_code == EINPROGRESS)   /* cancel.c has submitted it again */
        return 0;
    r->error = (unsigned char)r->cb.__error_code;
    land(r, serial << 2 | COMPLETE);
    return 1;
}

/* aio_suspend: 0, or an errno. */
int request_watched(struct request **list, size_t n, const struct timespec *timeout)
{
    const struct aiocb *const *cbs = (const struct aiocb *const *)(void *)list;
    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&list[i]->watchers, 1);
    int error = aio_suspend(cbs, (int)n, timeout) == 0 ? 0 : errno;
    for (size_t i = 0; i < n; i++)
        atomic_fetch_sub(&list[i]->watchers, 1);
    return error;
}

/* Before a complete request is submitted again.  A thread that glibc woke for its completion takes a request that is in
 * progress once more for one that never ended, and walks what is left of the old one's waiters: SIGSEGV.  They have
 * been woken, and need no lock of ours to leave. */
void request_unwatched(const struct request *r)
{
    const struct timespec moment = { 0, 20000 };
    while (atomic_load(&r->watchers) > 0)
        nanosleep(&moment, NULL);
}

void request_fence(struct request *r)
{
    if (!forked)
        aio_error(&r->cb);
}

uint64_t request_poll(struct request *r)
{
    uint64_t word = atomic_load(&r->word);
    if ((word & STATE_MASK) == IN_FLIGHT && !forked) {
        pthread_mutex_lock(&life);
        request_settle(r, word >> 2);
        pthread_mutex_unlock(&life);
        word = atomic_load(&r->word);
    }
    return word;
}

/* Of several callers one gets a word whose state is COMPLETE: the result is his. */
uint64_t request_return(struct request *r)
{
    uint64_t word = request_poll(r);
    if ((word & STATE_MASK) == COMPLETE)
        atomic_compare_exchange_strong(&r->word, &word, word | RETURNED);   /* on failure word is the new one */
    return word;
}

/* Of one that is complete. */
ssize_t request_result(struct request *r)
{
    return aio_return(&r->cb);   /* no more than a look */
}

int request_start(struct request *r)
{
    int rc;
    switch (r->op) {
    case LIO_READ:
        rc = aio_read(&r->cb);
        break;
    case LIO_WRITE:
        rc = aio_write(&r->cb);
        break;
    default:
        rc = aio_fsync(r->op, &r->cb);
    }
    return rc == 0 ? 0 : errno;
}

struct request *request_next(const struct request *r, int fd)
{
    struct request *next = r ? r->after : flying.after;
    while (next != &flying && next->cb.aio_fildes != fd)
        next = next->after;
    return next == &flying ? NULL : next;
}

/* In flight on the same descriptor and submitted before r, the youngest. */
struct request *request_before(const struct request *r)
{
    struct request *before = r->before;
    while (before != &flying && before->cb.aio_fildes != r->cb.aio_fildes)
        before = before->before;
    return before == &flying ? NULL : before;
}

/* Under life: r is what is wanted, and in flight as far as we are concerned. */
void request_fly(struct request *r, struct wanted *w)
{
    struct sigevent *sigev = &r->cb.aio_sigevent;
    uint64_t was = atomic_load(&r->word);
    atomic_store(&used, true);
    w->unseen = (was & STATE_MASK) == COMPLETE ? was >> 2 : 0;
    r->cb.aio_fildes = w->fd;
    r->cb.aio_lio_opcode = r->op = w->op;
    r->cb.aio_buf = w->buf;
    r->cb.aio_nbytes = w->nbytes;
    r->cb.aio_offset = w->offset;
    r->cb.aio_reqprio = w->reqprio;
    if (w->plan == NULL) {
        memset(sigev, 0, sizeof *sigev);
        sigev->sigev_notify = SIGEV_NONE;   /* zero would mean signal number 0 */
    } else {
        *sigev = w->plan->sigev;
        if (w->plan->self)
            sigev->sigev_value.sival_ptr = (void *)(uintptr_t)(TOKEN | w->notice);
        if (sigev->sigev_notify == SIGEV_THREAD)
            notice_owe(w->notice, r, w->serial, w->plan, sigev);
    }
    fly(r, w->serial);
}

/* 0, or an errno: EINPROGRESS for a request that is in flight already; else what glibc said. */
int request_submit(struct request *r, struct wanted *w)
{
    int error;
    if (forked)
        return ENOTSUP;
    pthread_mutex_lock(&submitting);
    pthread_mutex_lock(&life);
    uint64_t was = atomic_load(&r->word);
    if ((was & STATE_MASK) == IN_FLIGHT && !request_settle(r, was >> 2))
        error = EINPROGRESS;
    else
        error = sweeper_needed();
    if (error == 0) {
        request_unwatched(r);
        was = atomic_load(&r->word);
        int old_error = r->cb.__error_code;
        ssize_t old_result = r->cb.__return_value;
        request_fly(r, w);
        pthread_mutex_unlock(&life);
        error = request_start(r);
        pthread_mutex_lock(&life);
        if (error) {
            if (atomic_load(&r->word) == (w->serial << 2 | IN_FLIGHT))
                land(r, was);
            r->cb.__error_code = old_error;
            r->cb.__return_value = old_result;
            atomic_store(&r->word, was);   /* though somebody may have seen it complete, with this error */
            if (r->cb.aio_sigevent.sigev_notify == SIGEV_THREAD)
                notice_forgive(w->notice);
        }
    }
    pthread_mutex_unlock(&life);
    pthread_mutex_unlock(&submitting);
    return error;
}

/* The aiocb object is gone: when the request is done, the sweeper tells Python.  Without memory for that
 * the request stays where it is for ever, which is at least safe. */
void request_abandon(struct request *r)
{
    pthread_mutex_lock(&life);
    if ((atomic_load(&r->word) & STATE_MASK) == IN_FLIGHT && !r->orphan) {
        size_t room = dead_count + orphans + 1;
        uint64_t *more = room <= dead_room ? dead : realloc(dead, 2 * room * sizeof *dead);
        if (more != NULL) {
            dead_room = room <= dead_room ? dead_room : 2 * room;
            dead = more;
            r->orphan = 1;
            orphans++;
            sweeper_needed();
        }
    }
    pthread_mutex_unlock(&life);
}

/* Under life: hands out the serials of orphans that are done by now; -1 when there is nothing to watch. */
int orphans_reap(uint64_t *serials, int room)
{
    int n = 0;
    if (orphans == 0 && dead_count == 0)
        return -1;
    for (struct request *r = flying.after, *after; orphans > 0 && r != &flying; r = after) {
        after = r->after;
        if (r->orphan)
            request_settle(r, atomic_load(&r->word) >> 2);
    }
    while (n < room && dead_count > 0)
        serials[n++] = dead[--dead_count];
    return n;
}

void pool_init(int threads, int num, int idle_time)
{
    struct aioinit init = { .aio_threads = threads, .aio_num = num, .aio_idle_time = idle_time };
    aio_init(&init);
}
