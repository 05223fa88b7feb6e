/* Requests: submitting, polling, waiting, cancelling.
 *
 * State: `life`, one lock for all that this binding knows of requests and notices; `flying`, the
 * ring of requests in flight, oldest first; `orphans`, how many of them have lost their aiocb, and
 * `dead`, the serials of those that are done since (room for all is made when one is abandoned).
 *
 * - `life` is held over every submission: nobody can see a request half submitted, and a repair of
 *   a descriptor's queue (see request_cancel) cannot interleave with one.
 * - Lock order is life, then glibc's own mutex; glibc never calls us while it holds that.
 * - aio_error() takes glibc's mutex, so once it says a request is done no helper touches the aiocb
 *   any more.  Only then is a request settled, and only settled memory is given back.
 * - A forked child has neither the threads nor a sane mutex: it is turned away before any lock.
 */
#include "notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
int forked;
static atomic_bool used;
static struct request flying = { .before = &flying, .after = &flying };
static size_t orphans, dead_count, dead_room;
static uint64_t *dead;

static void in_child(void)
{
    if (atomic_load(&used))
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
    r->error = (short)error;
    r->result = aio_return(&r->cb);
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
    r->error = (short)r->cb.__error_code;
    r->result = r->cb.__return_value;
    land(r, serial << 2 | COMPLETE);
    return 1;
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

static void describe(struct request *r, int fd, int op, void *buf, size_t nbytes, off_t offset, int reqprio)
{
    r->cb.aio_fildes = fd;
    r->cb.aio_lio_opcode = r->op = op;
    r->cb.aio_buf = buf;
    r->cb.aio_nbytes = nbytes;
    r->cb.aio_offset = offset;
    r->cb.aio_reqprio = reqprio;
}

static void tell(struct request *r, uint64_t serial, struct plan *plan, uint32_t notice)
{
    struct sigevent *sigev = &r->cb.aio_sigevent;
    if (plan == NULL) {
        memset(sigev, 0, sizeof *sigev);   /* a zeroed one would mean signal number 0 */
        sigev->sigev_notify = SIGEV_NONE;
        return;
    }
    *sigev = plan->sigev;
    if (plan->self)
        sigev->sigev_value.sival_ptr = (void *)(uintptr_t)(TOKEN | serial);
    if (sigev->sigev_notify == SIGEV_THREAD)
        notice_owe(notice, r, serial, plan, sigev);
}

/* 0, or an errno: EINPROGRESS for a request that is in flight already; else what glibc said. */
int request_submit(struct request *r, uint64_t serial, int op, int fd, void *buf, size_t nbytes, off_t offset,
                   int reqprio, struct plan *plan, uint32_t notice)
{
    int error;
    if (forked)
        return ENOTSUP;
    pthread_mutex_lock(&life);
    uint64_t was = atomic_load(&r->word);
    if ((was & STATE_MASK) == IN_FLIGHT && !request_settle(r, was >> 2)) {
        error = EINPROGRESS;
    } else if ((error = sweeper_needed()) == 0) {
        was = atomic_load(&r->word);
        atomic_store(&used, true);
        describe(r, fd, op, buf, nbytes, offset, reqprio);
        tell(r, serial, plan, notice);
        fly(r, serial);
        error = request_start(r);
        if (error) {
            land(r, was);
            if (notice != NO_NOTICE)
                notice_forgive(notice);
        }
    }
    pthread_mutex_unlock(&life);
    return error;
}

/* Between two pieces: every request walks the queue of its descriptor, so let helpers shorten it if they can
 * (100,000 reads of one file: 0.3 s instead of 4 to 58), but wait for none that blocks. */
static void breathe(const struct request *last)
{
    const struct aiocb *cb = &last->cb;
    const struct timespec pause = { 0, 5000000 };
    aio_suspend(&cb, 1, &pause);
}

/* 0; minus an errno with nothing submitted (EINPROGRESS: an entry is in flight); or glibc's errno: then, as in C,
 * each entry tells its own fate, and one that was refused is complete with that error. */
int list_submit(struct request **list, const struct wanted *wanted, size_t n, uint64_t serial, struct plan *plan,
                uint32_t notice)
{
    int error = 0;
    struct sigevent sigev, *sig = NULL;
    struct notice *told = NULL;

    if (forked)
        return -ENOTSUP;
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
            sigev.sigev_value.sival_ptr = (void *)(uintptr_t)(TOKEN | serial);
        if (sigev.sigev_notify == SIGEV_THREAD && (told = notice_owe_list(notice, list, n, plan, sig)) == NULL)
            error = ENOMEM;
    }
    if (error) {
        pthread_mutex_unlock(&life);
        return -error;
    }
    atomic_store(&used, true);
    for (size_t i = 0; i < n; i++) {
        const struct wanted *w = &wanted[i];
        describe(list[i], w->fd, w->op, w->buf, w->nbytes, w->offset, w->reqprio);
        tell(list[i], w->serial, w->plan, w->notice);
        list[i]->cb.__error_code = EINPROGRESS;   /* what glibc will say, for who looks before it knows */
        fly(list[i], w->serial);
        if (told)
            told->serials[i] = w->serial;
    }
    size_t from = 0;
    do {   /* at least once: an empty list still notifies, as in C */
        size_t piece = n - from < PIECE ? n - from : PIECE;
        /* A signal comes once, with the last piece; a notice counts its pieces. */
        struct sigevent *s = told || from + piece == n ? sig : NULL;
        if (lio_listio(LIO_NOWAIT, (struct aiocb **)(void *)(list + from), (int)piece, s) != 0 && error == 0)
            error = errno;
        from += piece;
        if (from < n) {
            pthread_mutex_unlock(&life);
            breathe(list[from - 1]);
            pthread_mutex_lock(&life);
        }
    } while (from < n);
    pthread_mutex_unlock(&life);
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

/* One slice of waiting: 0, EAGAIN when it ended first, EINTR.  A longer list than PIECE is watched in pieces,
 * a different one each time: glibc copies the list to the stack and searches its queues for every entry. */
int list_suspend(struct request **list, size_t n, int64_t nanoseconds)
{
    static atomic_size_t turn;
    size_t from = n > PIECE ? atomic_fetch_add(&turn, PIECE) % (n - PIECE + 1) : 0;
    struct timespec slice = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    const struct aiocb *const *watched = (const struct aiocb *const *)(void *)(list + from);
    return aio_suspend(watched, (int)(n > PIECE ? PIECE : n), &slice) == 0 ? 0 : errno;
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
