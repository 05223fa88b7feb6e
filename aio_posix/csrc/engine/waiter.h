/* Waiters are standing threads that sleep in aio_suspend for lists of an event loop, and wake the
 * loop when one is done.
 *
 * - A waiter waits for one list at a time, always for its last entry that is not complete.  So
 *   what glibc searches for a wait does not grow with what is outstanding.  glibc begins requests
 *   roughly in the order of submission, so waiters take the oldest list first.
 * - A waiter asleep in aio_suspend cannot learn of another list.  A new list goes to an idle
 *   waiter or to a new one, and beyond `most` it is left for the next that wakes.  waiters_more()
 *   raises `most` by one when lists were found done that no waiter had looked at, so stuck lists
 *   hold up others briefly.
 * - The requests of a list stay where they are, and are not submitted again, while a waiter holds
 *   the list.  If its owner gives it up meanwhile, the waiter frees its memory.
 * - The last user closes a bell.  Users are the loop until it closes, and each list that will ring
 *   it.
 * - A waiter that has had no list for a second ends.  It never calls Python and takes no signal.
 *   A forked child has none.
 */
#ifndef AIO_POSIX_WAITER_H
#define AIO_POSIX_WAITER_H
#include "request.h"

struct bell {                          /* what wakes a loop */
    _Atomic int users;
    int fd;                            /* eventfd */
};

enum { NO_WAITER, A_WAITER, GIVEN_UP };   /* wait.holder; A_WAITER also before it has the list */

struct wait {                          /* of one list */
    struct request **members;
    size_t n;
    struct bell *bell;
    _Atomic int holder;
    void *memory;                      /* what to free once it was given up */
    struct wait *next;
};

struct bell *bell_new(void);
void bell_drop(struct bell *bell);
void bell_ring(struct bell *bell);
void bell_hush(struct bell *bell);
int wait_post(struct wait *w, struct request **members, size_t n, struct bell *bell);
void wait_give_up(struct wait *w, void *memory);
void waiters_more(void);
int waiters_start(void);
#endif
