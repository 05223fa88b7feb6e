/* Lists of requests: submitting them, and waiting for one or all of them.
 *
 * - A list is accepted as a whole or not at all.  From then on every entry counts as in flight;
 *   glibc gets to know it a moment later.
 * - glibc copies a list to the stack, so it gets pieces.  A list that announces itself by a
 *   signal cannot be cut, because the signal must come after all of it: it is submitted whole,
 *   from a thread whose stack is large enough.
 * - A wait is for submissions, not for requests: a callback may have submitted the same request
 *   again.
 */
#ifndef AIO_POSIX_LIST_H
#define AIO_POSIX_LIST_H
#include "submit.h"

enum {
    PIECE = 1024,        /* entries of one lio_listio or aio_suspend: 8 or 40 KiB of stack */
    SHORT_PIECE = 128,   /* when the caller waits anyway: glibc walks a queue for every entry */
};

/* 0; minus an errno with nothing submitted (EINPROGRESS: an entry is in flight, EEXIST: one is
 * listed twice); or glibc's errno.  Then, as in C, each entry tells its own fate, and one that
 * was refused is complete with that error. whole: plan, promise and number of the list's own
 * notification. */
int list_submit(struct listing *l, bool waits, struct wanted *whole);

bool list_any(struct request **list, const uint64_t *serials, size_t n);
size_t list_left(struct request **list, const uint64_t *serials, size_t n);
int list_suspend(struct request **list, size_t n, int64_t nanoseconds);

#endif
