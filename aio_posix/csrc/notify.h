/* What the C of aio_posix shares: the request, the notice and the queue.
 *
 * A *request* is one struct aiocb and what became of it.  A *notice* is one notification that
 * glibc owes us (SIGEV_THREAD, for a request or for a list).  They are separate because a request
 * may be complete, returned and submitted again before glibc has told us of its first completion.
 * A *plan* is a sigevent as the user wrote it.  A *queue* collects notices for CompletionQueue.
 *
 * Everything below that is not marked otherwise is read and written under `life`, which is never held for long.
 * `submitting` is held over every call that changes glibc's queues.  Lock order: submitting, life, glibc's own mutex.
 */
#ifndef AIO_POSIX_NOTIFY_H
#define AIO_POSIX_NOTIFY_H

#include <aio.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { UNSUBMITTED, IN_FLIGHT, COMPLETE, RETURNED, STATE_MASK = 3 };   /* the low bits of request.word */
enum { NOTICE_FREE, NOTICE_OWED, NOTICE_CLAIMED };

#define NO_NOTICE UINT32_MAX
#define TOKEN ((uint64_t)0xa105 << 48)   /* no address, and no int that a C program would send */
#define CHUNK 1024                 /* notices are allocated so many at a time */
#define PIECE 1024                 /* entries of one lio_listio or aio_suspend: 8 or 40 KiB of stack */
#define SHORT_PIECE 128            /* of one whose caller waits anyway: glibc walks a queue for every entry it adds */
#define CALLBACK_STACK (4 << 20)   /* for Python: 1,000 frames that go through C take 3 MiB (a sort in its own key) */
#define PATIENCE_MS 5              /* the interpreter's own switch interval */
#define QUEUE_STACK (64 << 10)     /* for queue_push, which needs less than 1 KiB */

struct queue {
    _Atomic(struct notice *) newest;   /* lock-free: pushed by notification threads, taken whole */
    _Atomic int users;                 /* notices that will push, takers, and Python until close() */
    _Atomic int owners;                /* of the memory: the users, and the Python object */
    atomic_bool closed;
    int fd;                            /* eventfd, readable while there is something to take */
    pthread_mutex_t takers;            /* guards ready, and the order of batches */
    struct notice *ready;              /* taken but not yet handed out, oldest first */
};

struct plan {
    struct sigevent sigev;
    pthread_attr_t attr;
    int self;                          /* SIGEV_SIGNAL: si_value is TOKEN plus the serial */
    struct queue *queue;               /* SIGEV_THREAD: NULL means a Python callable */
};

struct request {
    struct aiocb cb;                   /* first: a struct request * is a struct aiocb * to glibc */
    _Atomic uint64_t word;             /* serial << 2 | state; Python reads it without the lock */
    unsigned char error;               /* an errno (below 134); valid once the state is COMPLETE */
    unsigned char orphan : 1;          /* the aiocb object is gone: the sweeper must reap */
    unsigned char notify : 2;          /* kept while cancel.c silences the request */
    _Atomic unsigned short watchers;   /* threads inside glibc's aio_suspend with it; not under life */
    int op;                            /* LIO_READ, LIO_WRITE, O_SYNC or O_DSYNC: to submit it again */
    struct request *before, *after;    /* the requests in flight, in order of submission */
};

struct wanted {                        /* a submission as Python wants it */
    uint64_t serial;
    uint64_t unseen;                   /* out: the submission before, if its result was not returned, or 0 */
    void *buf;
    size_t nbytes;
    off_t offset;
    struct plan *plan;
    uint32_t notice;
    int fd, op, reqprio;
};

struct notice {
    uint32_t index, generation;        /* together the ticket that travels through glibc */
    unsigned char state;
    unsigned char sweeps;              /* how many found it complete and not yet claimed */
    unsigned char is_list;
    unsigned parts;                    /* pieces of its list whose notification has not come */
    size_t count;                      /* of a list */
    union {
        struct request *request;       /* it speaks of one submission of this request, */
        struct request **members;      /* or of a list: borrowed from Python until it is claimed */
    };
    union {
        uint64_t serial;
        uint64_t *serials;
    };
    struct queue *queue;
    struct notice *next;               /* in a queue */
};

extern pthread_mutex_t submitting, life;
extern int forked;                   /* set once, in a child that has only one thread */
extern size_t callback_stack;        /* CALLBACK_STACK, or what this Python needs */

/* request.c; what Python calls is second */
int request_settle(struct request *r, uint64_t serial);   /* under life: 1 once not in flight */
int request_told(struct request *r, uint64_t serial);     /* the same, for its own notification thread */
int request_start(struct request *r);
void request_fly(struct request *r, struct wanted *w);
struct request *request_next(const struct request *r, int fd);   /* in flight on fd, after r or the first */
struct request *request_before(const struct request *r);
int orphans_reap(uint64_t *serials, int room);

int request_watched(struct request **list, size_t n, const struct timespec *timeout);
void request_unwatched(const struct request *r);

int requests_start(void);
int requests_used(void);
int request_submit(struct request *r, struct wanted *w);
ssize_t request_result(struct request *r);
void request_fence(struct request *r);
uint64_t request_poll(struct request *r);
uint64_t request_return(struct request *r);
void request_abandon(struct request *r);
void pool_init(int threads, int num, int idle_time);

/* list.c */
int list_submit(struct request **list, struct wanted *wanted, size_t n, size_t most, uint64_t number,
                struct plan *plan, uint32_t notice);
size_t list_poll(struct request **list, size_t n);
int list_any(struct request **list, const uint64_t *serials, size_t n);
size_t list_left(struct request **list, const uint64_t *serials, size_t n);
int list_suspend(struct request **list, size_t n, int64_t nanoseconds);

/* cancel.c */
int request_cancel(int fd, struct request *r);
int fildes_cancel(int fd);

/* notice.c */
void notice_owe(uint32_t index, struct request *r, uint64_t serial, struct plan *p, struct sigevent *sigev);
struct notice *notice_owe_list(uint32_t index, struct request **list, size_t n, struct plan *p,
                               struct sigevent *sigev);
void notice_forgive(uint32_t index);
struct notice *notice_claim(uintptr_t ticket);
struct notice *notice_find_lost(uint32_t *from);
int notices_owed(void);

uint32_t notices_grow(void);

/* notify.c */
void notified(union sigval ticket);
int sweeper_needed(void);
int sweeper_runs(void);
void sweeper_look(void);

/* baton.c */
void baton_make(void);
void baton_take(void);
uint64_t baton_carry(void);
void baton_pass(uint64_t mine);
void baton_drop(void);
int baton_look(void);
void baton_abolish(void);

/* gate.c */
void gate_call(struct notice *n);
void gate_reap(const uint64_t *serials, int n);

void gate_expect_callbacks(void);
void gate_start(void);
void gate_no_baton(void);
void gate_fork_begins(void);
void gate_fork_ended(void);
int gate_inside(void);
void gate_close(void);

/* plan.c */
struct plan *plan_new(int notify, int signo, uintptr_t value, int self, struct queue *queue, size_t stack);
void plan_free(struct plan *p);

/* datastack.c */
void datastack_keep(void);

/* queue.c */
void queue_push(struct notice *n);
void queue_ring(struct queue *q);
int queue_hold(struct queue *q);
void queue_drop(struct queue *q);

struct queue *queue_new(void);
void queue_free(struct queue *q);
void queue_close(struct queue *q);
int queue_take(struct queue *q, uint32_t *out, int room);
void queue_wait(struct queue *q, int milliseconds);

#endif
