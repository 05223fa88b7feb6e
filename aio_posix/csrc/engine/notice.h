/* A notice is one notification that glibc owes us, of a submission or of a list.
 *
 * - A SIGEV_THREAD notification carries a ticket (generation, index) through glibc instead of a
 *   pointer.  The table of notices is never freed, so a ticket that comes late or twice is only
 *   stale.
 * - Whoever claims a notice delivers it.  A claim is made under `life`, and only of a notice that
 *   is owed and whose submission, or whole list, is over.  So a late thread, an early one (a list
 *   that was submitted in pieces, or whose entries cancel.c submitted again) and the sweeper can
 *   all try, and exactly one of them delivers.
 * - A notice is a separate thing from its request, because a request may be complete, returned
 *   and submitted again before glibc has notified us of its first completion.
 */
#ifndef AIO_POSIX_NOTICE_H
#define AIO_POSIX_NOTICE_H
#include "listing.h"
#include "plan.h"

enum { NOTICE_FREE, NOTICE_OWED, NOTICE_CLAIMED };

struct promise {                       /* what a notification will hand out, for the host */
    void *callable, *value;
};

struct notice {
    struct queued queued;              /* first, for its place in a queue or among the free ones */
    uint32_t index, generation;        /* together the ticket */
    unsigned char state;
    unsigned char sweeps;              /* how many found it over and not yet claimed */
    bool held;                         /* plan->queue is, for the push */
    bool late;                         /* the sweeper has claimed it */
    unsigned parts;                    /* pieces of its list whose notification has not come */
    struct plan *plan;
    struct promise promise;
    struct request *request;           /* held, or NULL for a listing */
    struct listing *listing;           /* held */
    uint64_t serial;                   /* of the request */
};

/* under life */
bool notices_reserve(size_t n);
struct notice *notice_owe(struct plan *p, struct promise promise, struct sigevent *sigev,
                          void (*notified)(union sigval));
bool notice_forgive(struct notice *n);
struct notice *notice_find_lost(uint32_t *from);
int notices_owed(void);

/* without a lock */
struct notice *notice_claim(uintptr_t ticket);
void notice_free(struct notice *n);
int notices_open(void);                /* owed, or delivered and not handed out */
int notices_of_writes(void);           /* whether a callable is due for a write or sync */

#endif
