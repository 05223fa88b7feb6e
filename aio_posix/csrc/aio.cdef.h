# 1 "aio_posix/csrc/aio.cdef.h"
/* What Python sees of C through cffi.  The calls that take and return Python objects are in the
 * module aio_posix._calls (csrc/python/module.c). */

/* constants */
#define AIO_CANCELED ...
#define AIO_NOTCANCELED ...
#define AIO_ALLDONE ...
#define LIO_READ ...
#define LIO_WRITE ...
#define LIO_NOP ...
#define LIO_WAIT ...
#define LIO_NOWAIT ...
#define SIGEV_NONE ...
#define SIGEV_SIGNAL ...
#define SIGEV_THREAD ...
#define SI_ASYNCIO ...
#define UNSUBMITTED ...
#define IN_FLIGHT ...
#define COMPLETE ...
#define RETURNED ...
#define TOKEN ...

struct aiocb { int aio_fildes; size_t aio_nbytes; int64_t aio_offset; ...; };
struct request {
    struct aiocb cb;
    uint64_t word;
    unsigned char error;
    ...;
};
struct queue { int fd; ...; };
struct plan { ...; };

/* the process */
extern int forked;
bool requests_used(void);
void gate_fork_begins(void);
void gate_fork_ended(void);
int gate_inside(void);
void gate_close(void);

/* sigevent */
extern size_t callback_stack;
struct plan *plan_new(int notify, int signo, uintptr_t value, int token, struct queue *queue,
                      size_t stack);

/* aio_init: no error, ever */
void pool_init(int threads, int num, int idle_time);

/* CompletionQueue */
struct queue *queue_new(void);
void queue_free(struct queue *q);
void queue_close(struct queue *q);
void queue_wait(struct queue *q, int milliseconds);

/* sigwaitinfo: 0, or an errno */
struct caught { int signo, code, pid, uid; uintptr_t value; };
void signal_ignore(int signo);
int signal_wait(const int *signals, int n, int64_t nanoseconds, struct caught *out);

/* aio_posix.asyncio */
#define BATCH ...
#define NOW_MOST ...
#define REST ...
#define ABSENT ...
#define STREAM ...
#define CLOSED ...
#define LOCKED ...
#define MAY_WAIT ...
struct bell { int fd; ...; };
struct bell *bell_new(void);
void bell_drop(struct bell *bell);
void bell_ring(struct bell *bell);
void bell_hush(struct bell *bell);
void waiters_more(void);
struct batch { unsigned left; ...; };
struct batch *batch_new(void);
void batch_free(struct batch *b);
int batch_held(struct batch *b);
int batch_cancel(struct batch *b, unsigned i);
int64_t perform(int op, int fd, void *buf, size_t nbytes, int64_t offset);
void slice_open(int64_t nanoseconds);
int slice_close(void);
int now_enable(int on);
