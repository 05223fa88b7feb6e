/* Makes one submission, from what the host wants to a request that glibc knows.
 *
 * A request counts as in flight a moment before glibc has been called.  aio_error already reports
 * EINPROGRESS then, and a wait that ends because glibc does not know the request is repeated.
 */
#ifndef AIO_POSIX_SUBMIT_H
#define AIO_POSIX_SUBMIT_H
#include "notice.h"

struct wanted {
    uint64_t serial;
    void *kept;              /* what the submission needs, held by the request from flight on */
    void *unnoticed;         /* out, kept for the submission before, whose end nobody noticed */
    void *buf;
    size_t nbytes;
    off_t offset;
    struct plan *plan;       /* NULL for SIGEV_NONE */
    struct promise promise;  /* what the notice hands out, its own from flight on */
    struct notice *notice;   /* out, the notice that is owed */
    uint64_t number;         /* SIGEV_SIGNAL with a token */
    int fd, op, reqprio;
    bool unattended;         /* perhaps nobody will look when it is over */
};

/* 0, EINPROGRESS when the request is in flight already, ENOTSUP in a forked child, or what glibc
 * said.  On an error kept and promise are the caller's again, or NULL if somebody released them. */
int request_submit(struct request *r, struct wanted *w);

/* for list.c and cancel.c, under the locks that each says */
void submit_fly(struct request *r, struct wanted *w);                   /* life; reserved */
void submit_sigev(struct sigevent *sigev, const struct plan *p, uint64_t number);
int submit_start(struct request *r);                                    /* submitting */

#endif
