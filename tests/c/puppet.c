#include "puppet.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8192, DESCRIPTORS = 64 };

struct list { int left; struct sigevent sig; };
struct entry { struct aiocb *cb; struct list *list; bool taken; };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;      /* of what follows */
static pthread_mutex_t glibc = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct entry queues[DESCRIPTORS][MOST];
static int lengths[DESCRIPTORS], refusal, refusal_after, suspended;
static bool stranded[DESCRIPTORS], holding, untouched;
static struct sigevent owed[MOST];
static int owed_count;
void (*on_submit)(struct aiocb *cb);
void (*on_cancel)(void);
void (*on_refusal)(struct aiocb *cb);

static void owe(const struct sigevent *sig)
{
    if (sig->sigev_notify == SIGEV_THREAD)
        owed[owed_count++] = *sig;
    else if (sig->sigev_notify == SIGEV_SIGNAL)
        sigqueue(getpid(), sig->sigev_signo, sig->sigev_value);
}

static void end(int fd, int i, int error)
{
    struct entry e = queues[fd][i];
    memmove(&queues[fd][i], &queues[fd][i + 1], sizeof e * (size_t)(--lengths[fd] - i));
    e.cb->__return_value = error ? -1 : (ssize_t)e.cb->aio_nbytes;
    __atomic_store_n(&e.cb->__error_code, error, __ATOMIC_RELEASE);
    owe(&e.cb->aio_sigevent);
    if (e.list != NULL && --e.list->left == 0) {
        owe(&e.list->sig);
        free(e.list);
    }
    if (lengths[fd] == 0)
        stranded[fd] = false;
    pthread_cond_broadcast(&changed);
}

static void enqueue(struct aiocb *cb, struct list *list)
{
    int fd = cb->aio_fildes, at = lengths[fd];
    while (at > 1 && queues[fd][at - 1].cb->aio_reqprio > cb->aio_reqprio)
        at--;
    memmove(&queues[fd][at + 1], &queues[fd][at],
            sizeof(struct entry) * (size_t)(lengths[fd]++ - at));
    queues[fd][at] = (struct entry){ cb, list, false };
    cb->__error_code = EINPROGRESS;
    cb->__return_value = 0;
}

static int submit(struct aiocb *cb)
{
    if (on_submit != NULL)
        on_submit(cb);
    pthread_mutex_lock(&mutex);
    int error = refusal;
    refusal = 0;
    if (error == 0)
        enqueue(cb, NULL);
    pthread_mutex_unlock(&mutex);
    if (error == 0)
        return 0;
    if (!untouched) {
        cb->__error_code = error;
        cb->__return_value = 0;
    }
    if (on_refusal != NULL)
        on_refusal(cb);
    errno = error;
    return -1;
}

int aio_read(struct aiocb *cb) { return submit(cb); }
int aio_write(struct aiocb *cb) { return submit(cb); }
int aio_fsync(int op, struct aiocb *cb) { (void)op; return submit(cb); }
ssize_t aio_return(struct aiocb *cb) { return cb->__return_value; }
void aio_init(const struct aioinit *init) { (void)init; }

int aio_error(const struct aiocb *cb)
{
    pthread_mutex_lock(&glibc);
    int error = __atomic_load_n(&cb->__error_code, __ATOMIC_ACQUIRE);
    pthread_mutex_unlock(&glibc);
    return error;
}

int lio_listio(int mode, struct aiocb *const cbs[], int n, struct sigevent *sig)
{
    struct list *list = sig ? malloc(sizeof *list) : NULL;
    int error = 0;
    (void)mode;
    pthread_mutex_lock(&mutex);
    if (list != NULL)
        *list = (struct list){ n, *sig };
    for (int i = 0; i < n && error == 0; i++) {
        if (refusal != 0 && i == refusal_after) {
            error = refusal;
            refusal = 0;
        } else {
            enqueue(cbs[i], list);
        }
    }
    if (list != NULL && n == 0) {
        owe(sig);
        free(list);
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return error ? -1 : 0;
}

static bool known(const struct aiocb *cb)
{
    for (int i = 0; i < lengths[cb->aio_fildes]; i++)
        if (queues[cb->aio_fildes][i].cb == cb)
            return true;
    return false;
}

/* glibc takes a request that it does not know for complete. */
int aio_suspend(const struct aiocb *const cbs[], int n, const struct timespec *timeout)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout ? timeout->tv_sec : 1000;
    until.tv_nsec += timeout ? timeout->tv_nsec : 0;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    suspended++;
    pthread_cond_broadcast(&changed);
    for (bool done = n == 0; (!done || holding) && rc == 0;) {
        for (int i = 0; i < n; i++)
            done |= cbs[i]->__error_code != EINPROGRESS || !known(cbs[i]);
        if (!done || holding)
            rc = pthread_cond_timedwait(&changed, &mutex, &until);
    }
    suspended--;
    pthread_mutex_unlock(&mutex);
    errno = EAGAIN;
    return rc ? -1 : 0;
}

int aio_cancel(int fd, struct aiocb *cb)
{
    int answer = AIO_ALLDONE;
    if (cb == NULL && on_cancel != NULL)
        on_cancel();
    pthread_mutex_lock(&mutex);
    for (int i = lengths[fd]; i-- > 0;) {
        struct entry *e = &queues[fd][i];
        if (cb != NULL && e->cb != cb)
            continue;
        if (e->taken) {
            answer = AIO_NOTCANCELED;
            continue;
        }
        if (cb != NULL && i == 0)
            stranded[fd] = true;
        end(fd, i, ECANCELED);
        answer = answer == AIO_NOTCANCELED ? answer : AIO_CANCELED;
    }
    if (cb != NULL && answer == AIO_ALLDONE && cb->__error_code == EINPROGRESS) {
        errno = EINVAL;
        answer = -1;
    }
    pthread_mutex_unlock(&mutex);
    return answer;
}

bool serve(int fd)
{
    pthread_mutex_lock(&mutex);
    bool may = lengths[fd] > 0 && !stranded[fd];
    if (may)
        end(fd, 0, 0);
    pthread_mutex_unlock(&mutex);
    return may;
}

void finish(struct aiocb *cb, int error)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < lengths[cb->aio_fildes]; i++)
        if (queues[cb->aio_fildes][i].cb == cb)
            end(cb->aio_fildes, i, error);
    pthread_mutex_unlock(&mutex);
}

int queued(int fd)
{
    pthread_mutex_lock(&mutex);
    int n = lengths[fd];
    pthread_mutex_unlock(&mutex);
    return n;
}

void take_head(int fd)
{
    pthread_mutex_lock(&mutex);
    queues[fd][0].taken = true;
    pthread_mutex_unlock(&mutex);
}

int pending(void)
{
    pthread_mutex_lock(&mutex);
    int n = owed_count;
    pthread_mutex_unlock(&mutex);
    return n;
}

union sigval pending_ticket(int i)
{
    return owed[i].sigev_value;
}

void notify_one(void)
{
    pthread_mutex_lock(&mutex);
    struct sigevent sig = owed[0];
    memmove(owed, owed + 1, sizeof *owed * (size_t)--owed_count);
    pthread_mutex_unlock(&mutex);
    sig.sigev_notify_function(sig.sigev_value);
}

void lose_all(void)
{
    pthread_mutex_lock(&mutex);
    owed_count = 0;
    pthread_mutex_unlock(&mutex);
}

void refuse(int error, int first)
{
    refusal = error;
    refusal_after = first;
}

void refuse_untouched(int error)
{
    refuse(error, 0);
    untouched = true;
}

void hold_glibc(void) { pthread_mutex_lock(&glibc); }
void release_glibc(void) { pthread_mutex_unlock(&glibc); }

void hold_waiters(bool hold)
{
    pthread_mutex_lock(&mutex);
    holding = hold;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

int waiters(void)
{
    pthread_mutex_lock(&mutex);
    int n = suspended;
    pthread_mutex_unlock(&mutex);
    return n;
}
