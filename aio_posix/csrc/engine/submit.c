#include "submit.h"
#include "sweeper.h"

#include <errno.h>
#include <string.h>

/* glibc's call for this operation, with 0 or an errno. */
int submit_start(struct request *r)
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

/* What a plan says, for one submission or one list.  SIGEV_THREAD gets its ticket later. */
void submit_sigev(struct sigevent *sigev, const struct plan *p, uint64_t number)
{
    if (p == NULL) {
        memset(sigev, 0, sizeof *sigev);
        sigev->sigev_notify = SIGEV_NONE;   /* zero would mean signal number 0 */
        return;
    }
    *sigev = p->sigev;
    if (p->token)
        sigev->sigev_value.sival_ptr = (void *)(uintptr_t)(TOKEN | number);
}

/* r, which is not in flight, becomes what is wanted and flies. */
void submit_fly(struct request *r, struct wanted *w)
{
    struct sigevent sigev;
    request_await_watchers(r);
    submit_sigev(&sigev, w->plan, w->number);
    w->notice = NULL;
    if (sigev.sigev_notify == SIGEV_THREAD) {
        w->notice = notice_owe(w->plan, w->promise, &sigev, notified);
        w->notice->request = r;
        w->notice->serial = w->serial;
        request_hold(r);
    }
    r->cb.aio_sigevent = sigev;
    r->cb.aio_fildes = w->fd;
    r->cb.aio_lio_opcode = r->op = w->op;
    r->cb.aio_buf = w->buf;
    r->cb.aio_nbytes = w->nbytes;
    r->cb.aio_offset = w->offset;
    r->cb.aio_reqprio = w->reqprio;
    w->unnoticed = request_fly(r, w->serial, w->kept, w->unattended);
}

/* glibc refused it. */
static void take_back(struct request *r, struct wanted *w, uint64_t was, const struct aiocb *old)
{
    w->kept = request_unfly(r, was, w->unnoticed);
    w->unnoticed = NULL;
    set_error_code(r, old->__error_code);
    r->cb.__return_value = old->__return_value;
    if (w->notice != NULL && !notice_forgive(w->notice))
        w->promise = (struct promise){ NULL, NULL };
}

int request_submit(struct request *r, struct wanted *w)
{
    int error;
    if (forked)
        return ENOTSUP;
    process_touches_aio();
    pthread_mutex_lock(&submitting);
    pthread_mutex_lock(&life);
    if (!request_over(r))
        error = EINPROGRESS;
    else
        error = notices_reserve(1) ? sweeper_needed() : ENOMEM;
    if (error == 0) {
        uint64_t was = atomic_load(&r->word);
        const struct aiocb old = r->cb;
        submit_fly(r, w);
        pthread_mutex_unlock(&life);
        error = submit_start(r);
        pthread_mutex_lock(&life);
        if (error)
            take_back(r, w, was, &old);
    }
    pthread_mutex_unlock(&life);
    pthread_mutex_unlock(&submitting);
    return error;
}
