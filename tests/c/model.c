/* A POSIX AIO for ThreadSanitizer, which cannot follow threads that the C library makes for
 * itself.
 *
 * It behaves as glibc does where that matters here: one request of a descriptor at a time, in
 * order; a notification is a new thread, made while the lock is held, late, and lost when it
 * cannot be made; aio_return looks without the lock; cancelling the head of a queue strands what
 * is behind it until the queue is emptied.
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { HELPERS = 4, DESCRIPTORS = 1024 };

struct list { int left; struct sigevent sig; };
struct entry { struct aiocb *cb; struct list *list; int op, running; struct entry *next; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static struct entry *entries;
static char stranded[DESCRIPTORS];
static int helpers;

static void *late(void *sig)
{
    struct sigevent s = *(struct sigevent *)sig;
    free(sig);
    usleep((unsigned)rand() % 300);
    s.sigev_notify_function(s.sigev_value);
    return NULL;
}

static void notify(const struct sigevent *sig)
{
    pthread_t thread;
    if (sig->sigev_notify == SIGEV_THREAD) {
        struct sigevent *copy = malloc(sizeof *copy);
        *copy = *sig;
        if (pthread_create(&thread, sig->sigev_notify_attributes, late, copy) != 0)
            free(copy);
    }
}

/* Under lock. */
static void finish(struct entry *e, ssize_t result, int error)
{
    struct entry **at = &entries, *same = entries;
    const int fd = e->cb->aio_fildes;   /* the aiocb is the caller's again once it is announced */
    e->cb->__return_value = result;
    __atomic_store_n(&e->cb->__error_code, error, __ATOMIC_RELEASE);
    notify(&e->cb->aio_sigevent);
    if (e->list != NULL && --e->list->left == 0) {
        notify(&e->list->sig);
        free(e->list);
    }
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    while (same != NULL && same->cb->aio_fildes != fd)
        same = same->next;
    if (same == NULL)
        stranded[fd] = 0;
    free(e);
    pthread_cond_broadcast(&done);
    pthread_cond_signal(&work);
}

static int is_head(const struct entry *e)
{
    const struct entry *first = entries;
    while (first->cb->aio_fildes != e->cb->aio_fildes)
        first = first->next;
    return first == e;
}

static ssize_t perform(int op, struct aiocb *cb)
{
    void *buf = (void *)cb->aio_buf;
    if (op == O_SYNC || op == O_DSYNC)
        return fsync(cb->aio_fildes);
    ssize_t n = op == LIO_READ ? pread(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset)
                               : pwrite(cb->aio_fildes, buf, cb->aio_nbytes, cb->aio_offset);
    if (n == -1 && errno == ESPIPE)
        n = op == LIO_READ ? read(cb->aio_fildes, buf, cb->aio_nbytes)
                           : write(cb->aio_fildes, buf, cb->aio_nbytes);
    return n;
}

static void *helper(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        struct entry *e = entries;
        while (e != NULL && (e->running || stranded[e->cb->aio_fildes] || !is_head(e)))
            e = e->next;
        if (e == NULL) {
            pthread_cond_wait(&work, &lock);
            continue;
        }
        e->running = 1;
        pthread_mutex_unlock(&lock);
        ssize_t result = perform(e->op, e->cb);
        int error = result == -1 ? errno : 0;
        pthread_mutex_lock(&lock);
        finish(e, result, error);
    }
    return NULL;
}

/* Under lock. */
static void enqueue(struct aiocb *cb, int op, struct list *list)
{
    pthread_t thread;
    struct entry *e = calloc(1, sizeof *e), **at = &entries;
    e->cb = cb;
    e->op = op;
    e->list = list;
    __atomic_store_n(&cb->__error_code, EINPROGRESS, __ATOMIC_RELEASE);
    cb->__return_value = 0;
    while (*at != NULL)
        at = &(*at)->next;
    *at = e;
    if (helpers < HELPERS && pthread_create(&thread, NULL, helper, NULL) == 0)
        helpers++;
    pthread_cond_signal(&work);
}

static int one(struct aiocb *cb, int op)
{
    pthread_mutex_lock(&lock);
    enqueue(cb, op, NULL);
    pthread_mutex_unlock(&lock);
    return 0;
}

int aio_read(struct aiocb *cb) { return one(cb, LIO_READ); }
int aio_write(struct aiocb *cb) { return one(cb, LIO_WRITE); }
int aio_fsync(int op, struct aiocb *cb) { return one(cb, op); }
ssize_t aio_return(struct aiocb *cb) { return cb->__return_value; }
void aio_init(const struct aioinit *init) { (void)init; }

int aio_error(const struct aiocb *cb)
{
    pthread_mutex_lock(&lock);
    int error = cb->__error_code;
    pthread_mutex_unlock(&lock);
    return error;
}

int lio_listio(int mode, struct aiocb *const cbs[], int n, struct sigevent *sig)
{
    struct list *list = sig ? malloc(sizeof *list) : NULL;
    (void)mode;
    pthread_mutex_lock(&lock);
    if (list != NULL) {
        list->sig = *sig;
        list->left = n;
    }
    for (int i = 0; i < n; i++)
        enqueue(cbs[i], cbs[i]->aio_lio_opcode, list);
    if (list != NULL && n == 0) {
        notify(sig);
        free(list);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int aio_suspend(const struct aiocb *const cbs[], int n, const struct timespec *timeout)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += timeout->tv_nsec;
    until.tv_sec += timeout->tv_sec + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    for (int finished = 0; !finished && rc == 0;) {
        for (int i = 0; i < n; i++)
            finished |= cbs[i]->__error_code != EINPROGRESS;
        if (!finished)
            rc = pthread_cond_timedwait(&done, &lock, &until);
    }
    pthread_mutex_unlock(&lock);
    errno = EAGAIN;
    return rc ? -1 : 0;
}

int aio_cancel(int fd, struct aiocb *cb)
{
    int answer = AIO_ALLDONE;
    pthread_mutex_lock(&lock);
    for (struct entry *e = entries, *next; e != NULL; e = next) {
        next = e->next;
        if (e->cb->aio_fildes != fd || (cb != NULL && e->cb != cb))
            continue;
        if (e->running) {
            answer = AIO_NOTCANCELED;
            continue;
        }
        if (cb != NULL && is_head(e))
            stranded[fd] = 1;
        finish(e, -1, ECANCELED);
        answer = answer == AIO_NOTCANCELED ? answer : AIO_CANCELED;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}
