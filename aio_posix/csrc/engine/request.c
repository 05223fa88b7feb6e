/* State: `flying` is the ring of requests in flight, oldest first.  `over` is the ring of
 * unattended ones that are over and wait for the sweeper.  Counted are the unattended ones that
 * fly, and a flag says whether glibc has been used.
 *
 * - aio_error() takes glibc's mutex, so once it says that a request is done no helper touches the
 *   aiocb any more.  Only then is a request settled, and only settled memory is freed.
 */
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct counters counters;
/* `aio-posix ps` reads them in other processes, by this name. */
extern struct counters aio_posix_counters __attribute__((alias("counters"), visibility("default")));
static atomic_bool used;
static _Atomic uint64_t last_serial;
static struct request flying = { .before = &flying, .after = &flying };
static struct request over = { .before = &over, .after = &over };
static size_t unattended;

uint64_t serial_new(void)
{
    return atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
}

void request_init(struct request *r)
{
    memset(r, 0, sizeof *r);
    atomic_store(&r->owners, 1);
}

struct request *request_new(void)
{
    struct request *r = malloc(sizeof *r);
    if (r != NULL)
        request_init(r);
    return r;
}

void request_hold(struct request *r)
{
    atomic_fetch_add_explicit(&r->owners, 1, memory_order_relaxed);
}

/* A notification thread may have read the result while its helper still held glibc's mutex and was
 * not done with the aiocb.  Asking for the mutex waits for that helper. */
void request_release(struct request *r)
{
    if (atomic_fetch_sub(&r->owners, 1) > 1 || forked)
        return;
    aio_error(&r->cb);
    free(r);
}

static void link_last(struct request *ring, struct request *r)
{
    r->before = ring->before;
    r->after = ring;
    r->before->after = r->after->before = r;
}

static void unlink_it(struct request *r)
{
    r->before->after = r->after;
    r->after->before = r->before;
    r->before = r->after = NULL;
}

/* Returns what was kept for the submission before, if nobody has noticed its end. */
void *request_fly(struct request *r, uint64_t serial, void *kept, bool nobody_looks)
{
    void *unnoticed = request_take_kept(r);
    atomic_store_explicit(&used, true, memory_order_relaxed);
    counters.submitted++;
    r->kept = kept;
    r->unattended = nobody_looks;
    unattended += nobody_looks;
    link_last(&flying, r);
    /* A reader may look before glibc has been called.  This is the answer that glibc would give. */
    set_error_code(r, EINPROGRESS);
    atomic_store(&r->word, serial << 2 | IN_FLIGHT);
    return unnoticed;
}

static void land(struct request *r, uint64_t word)
{
    unlink_it(r);
    if (r->unattended) {
        unattended--;
        if (r->kept != NULL)
            link_last(&over, r);
    }
    atomic_store(&r->word, word);
}

/* glibc refused the submission.  The request is as it was, with what was kept for it then.  Returns
 * what was kept for the refused submission, or NULL if somebody saw it complete with the error and
 * noticed. */
void *request_unfly(struct request *r, uint64_t was, void *unnoticed)
{
    if (state_of(atomic_load(&r->word)) == IN_FLIGHT)
        land(r, was);
    void *refused = request_take_kept(r);
    counters.submitted--;
    r->kept = unnoticed;
    if (unnoticed != NULL) {   /* nobody may have been going to notice that */
        r->unattended = true;
        link_last(&over, r);
    }
    atomic_store(&r->word, was);
    return refused;
}

static bool land_with(struct request *r, uint64_t serial, int error)
{
    r->error = (unsigned char)error;
    counters.completed++;
    counters.cancelled += error == ECANCELED;
    land(r, serial << 2 | COMPLETE);
    return true;
}

/* Whether this submission is over.  A look at the word of glibc's that needs no mutex comes
 * first. */
bool request_settle(struct request *r, uint64_t serial)
{
    if (atomic_load(&r->word) != (serial << 2 | IN_FLIGHT))
        return true;
    if (error_code_of(r) == EINPROGRESS)
        return false;
    int error = aio_error(&r->cb);
    return error == EINPROGRESS ? false : land_with(r, serial, error);
}

/* Whether the newest submission is. */
bool request_over(struct request *r)
{
    return request_settle(r, serial_of(atomic_load(&r->word)));
}

/* The same, in the submission's own notification thread.  glibc starts that after it has stored the
 * result, so there is no need to queue for its mutex behind every helper that has something to
 * announce (10,000 of them in a burst). */
bool request_notified(struct request *r, uint64_t serial)
{
    if (atomic_load(&r->word) != (serial << 2 | IN_FLIGHT))
        return true;
    int error = error_code_of(r);
    if (error == EINPROGRESS)   /* cancel.c has submitted it again */
        return false;
    return land_with(r, serial, error);
}

/* What was kept for a submission that is over.  NULL if somebody has taken it, or if it flies. */
void *request_take_kept(struct request *r)
{
    void *kept = r->kept;
    if (kept == NULL || state_of(atomic_load(&r->word)) == IN_FLIGHT)
        return NULL;
    if (r->unattended)
        unlink_it(r);
    r->kept = NULL;
    r->unattended = false;
    return kept;
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

struct request *request_newest(void)
{
    return request_older(&flying);
}

struct request *request_older(const struct request *r)
{
    return r->before == &flying ? NULL : r->before;
}

/* Called by the sweeper.  1 if request_reap() would return something, 0 if not, and -1 if nothing
 * in flight could change that. */
int requests_settle(void)
{
    size_t left = unattended;
    if (unattended == 0 && over.after == &over)
        return -1;
    for (struct request *r = flying.after, *after; left > 0 && r != &flying; r = after) {
        after = r->after;
        if (r->unattended) {
            left--;
            request_over(r);
        }
    }
    return over.after != &over;
}

/* What was kept for one of the unattended requests that are over, or NULL.  Whoever calls this
 * releases it at once.  Otherwise somebody who looks at the request meanwhile would take for
 * released what is not.  Without a GIL that can be so for a moment. */
void *request_reap(void)
{
    pthread_mutex_lock(&life);
    void *kept = over.after == &over ? NULL : request_take_kept(over.after);
    pthread_mutex_unlock(&life);
    return kept;
}

bool requests_used(void)
{
    return atomic_load(&used);
}

/* Under life.  The word, its result if it is COMPLETE, and what the caller has to release. */
static uint64_t notice(struct request *r, ssize_t *result, void **kept)
{
    request_over(r);
    uint64_t word = atomic_load(&r->word);
    if (state_of(word) == COMPLETE)
        *result = r->error ? -r->error : request_result(r);
    *kept = request_take_kept(r);
    return word;
}

/* The word as of now.  If its state is COMPLETE, *result is a count or minus an errno.  The caller
 * has to release `kept`. */
uint64_t request_look(struct request *r, ssize_t *result, void **kept)
{
    uint64_t word = atomic_load(&r->word);
    *kept = NULL;
    if (forked || request_pending(r))
        return word;
    pthread_mutex_lock(&life);
    word = notice(r, result, kept);
    pthread_mutex_unlock(&life);
    return word;
}

/* The same, and returns the request (RETURNED).  Of several callers one gets a word whose state is
 * COMPLETE, and with it the result. */
uint64_t request_return(struct request *r, ssize_t *result, void **kept)
{
    *kept = NULL;
    if (forked)
        return atomic_load(&r->word);
    pthread_mutex_lock(&life);
    uint64_t word = notice(r, result, kept);
    if (state_of(word) == COMPLETE)
        atomic_store(&r->word, word | RETURNED);
    pthread_mutex_unlock(&life);
    return word;
}

/* As if it had never been submitted.  False if it is in flight, or if a thread waits for it. */
bool request_reset(struct request *r, void **kept)
{
    *kept = NULL;
    pthread_mutex_lock(&life);
    bool idle = request_over(r) && atomic_load(&r->watchers) == 0;
    if (idle) {
        *kept = request_take_kept(r);
        atomic_store(&r->word, UNSUBMITTED);
    }
    pthread_mutex_unlock(&life);
    return idle;
}

/* Of one that is complete. */
ssize_t request_result(const struct request *r)
{
    return r->cb.__return_value;   /* all that aio_return() looks at */
}

/* The aiocb object is gone, so the sweeper notices the end.  Whether the request was in flight. */
bool request_abandon(struct request *r)
{
    pthread_mutex_lock(&life);
    bool flies = !request_over(r);
    if (flies && !r->unattended) {
        r->unattended = true;
        unattended++;
    }
    pthread_mutex_unlock(&life);
    return flies;
}

/* aio_suspend, with 0 or an errno. */
int request_watch(struct request **list, size_t n, const struct timespec *timeout)
{
    const struct aiocb *const *cbs = (const struct aiocb *const *)(void *)list;
    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&list[i]->watchers, 1);
    int error = aio_suspend(cbs, (int)n, timeout) == 0 ? 0 : errno;
    for (size_t i = 0; i < n; i++)
        atomic_fetch_sub(&list[i]->watchers, 1);
    return error;
}

/* Called before a complete request is submitted again.  A thread that glibc woke for its
 * completion takes a request that is in progress once more for one that never ended.  It would
 * walk what is left of the old one's waiters, which is a SIGSEGV.  They have been woken, and
 * need no lock of ours to leave. */
void request_await_watchers(const struct request *r)
{
    const struct timespec moment = { 0, 20000 };
    while (atomic_load(&r->watchers) > 0)
        nanosleep(&moment, NULL);
}

void pool_init(int threads, int num, int idle_time)
{
    struct aioinit init = { .aio_threads = threads, .aio_num = num, .aio_idle_time = idle_time };
    aio_init(&init);
}
