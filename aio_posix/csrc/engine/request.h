/* A request is one struct aiocb and what became of it.
 *
 * - `word` holds the serial number of the newest submission and its state in one atomic, so that
 *   nobody can pair the state of one submission with the serial of another.
 * - The host describes and keeps a submission first, when nobody else can see it.  It is in
 *   flight from request_fly() on, and over once request_settle() has said so.  `kept` belongs to
 *   the request from flight until somebody who can release it notices that the submission is
 *   over.
 * - Everything that is not atomic is read and written under `life`.
 */
#ifndef AIO_POSIX_REQUEST_H
#define AIO_POSIX_REQUEST_H
#include "process.h"

#include <aio.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { UNSUBMITTED, IN_FLIGHT, COMPLETE, RETURNED, STATE_MASK = 3 };   /* the low bits of word */

struct request {
    struct aiocb cb;                    /* first, so that glibc sees a struct aiocb */
    _Atomic uint64_t word;              /* serial << 2 | state */
    void *kept;                         /* what the submission needs till it is over */
    struct request *before, *after;     /* in the ring of those in flight, or to be reaped */
    _Atomic unsigned owners;            /* of this memory */
    _Atomic unsigned short watchers;    /* threads inside glibc's aio_suspend with it */
    _Atomic unsigned char error;        /* an errno (below 134), once COMPLETE */
    bool unattended : 1;                /* nobody may look, so the sweeper notices its end */
    bool listed : 1;                    /* while list.c looks for a request that is listed twice */
    unsigned char notify : 2;           /* sigev_notify while cancel.c silences the request */
    int op;                             /* LIO_READ, LIO_WRITE, O_SYNC or O_DSYNC */
};

static inline int state_of(uint64_t word)
{
    return (int)(word & STATE_MASK);
}

static inline uint64_t serial_of(uint64_t word)
{
    return word >> 2;
}

/* glibc's own word for a request.  Anybody may look at it without glibc's mutex.  A look that finds
 * EINPROGRESS is right.  Any other only says that it is worth asking aio_error(). */
static inline int error_code_of(const struct request *r)
{
    return __atomic_load_n(&r->cb.__error_code, __ATOMIC_ACQUIRE);
}

static inline void set_error_code(struct request *r, int error)
{
    __atomic_store_n(&r->cb.__error_code, error, __ATOMIC_RELEASE);
}

/* Whether the newest submission still flies, by glibc's own word and without any lock. */
static inline bool request_pending(const struct request *r)
{
    return state_of(atomic_load(&r->word)) == IN_FLIGHT && error_code_of(r) == EINPROGRESS;
}

struct counters {                       /* since the process began, under life */
    uint64_t submitted, completed, cancelled;
    uint64_t late;                      /* notifications that the sweeper sent */
};
extern struct counters counters;

uint64_t serial_new(void);

struct request *request_new(void);
void request_init(struct request *r);           /* memory of the caller's, who is its first owner */
void request_hold(struct request *r);
void request_release(struct request *r);        /* the last one frees it, behind glibc's mutex */

/* under life */
void *request_fly(struct request *r, uint64_t serial, void *kept, bool unattended);
void *request_unfly(struct request *r, uint64_t was, void *unnoticed);
bool request_settle(struct request *r, uint64_t serial);
bool request_over(struct request *r);
bool request_notified(struct request *r, uint64_t serial);
void *request_take_kept(struct request *r);
struct request *request_next(const struct request *r, int fd);
struct request *request_before(const struct request *r);
struct request *request_newest(void);           /* in flight; `before` leads on to NULL */
struct request *request_older(const struct request *r);
int requests_settle(void);

/* without a lock */
bool requests_used(void);
uint64_t request_look(struct request *r, ssize_t *result, void **kept);
uint64_t request_return(struct request *r, ssize_t *result, void **kept);
ssize_t request_result(const struct request *r);
bool request_reset(struct request *r, void **kept);
bool request_abandon(struct request *r);
void *request_reap(void);
int request_watch(struct request **list, size_t n, const struct timespec *timeout);
void request_await_watchers(const struct request *r);
void pool_init(int threads, int num, int idle_time);

#endif
