#ifndef AIO_POSIX_WAITER_H
#define AIO_POSIX_WAITER_H
#include "notify.h"

struct bell {                          /* what wakes a loop */
    _Atomic int users;
    int fd;                            /* eventfd */
};

enum { NO_WAITER, A_WAITER, GIVEN_UP };   /* wait.holder: a waiter has the list, or will have it */

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
