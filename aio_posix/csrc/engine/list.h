/* Submits lists of requests, and waits for one or all of them.
 *
 * - A list is accepted as a whole or not at all.  From then on every entry counts as in flight,
 *   although glibc gets it a moment later.
 * - glibc copies a list to the stack, so it gets pieces.  A list that announces itself by a
 *   signal cannot be cut, because the signal must come after all of it.  It is submitted whole,
 *   from a thread whose stack is large enough.
 * - A wait is for submissions and not for requests, because a callback may have submitted the same
 *   request again.
 */
#ifndef AIO_POSIX_LIST_H
#define AIO_POSIX_LIST_H
#include "submit.h"

enum {
    PIECE = 1024,        /* entries of one lio_listio or aio_suspend (8 or 40 KiB of stack) */
    SHORT_PIECE = 128,   /* when the caller waits, as glibc walks a queue for every entry */
};

/* Returns 0, or minus an errno with nothing submitted, or glibc's errno.  EINPROGRESS means that
 * an entry is in flight, and EEXIST that one is listed twice.  After an error of glibc's each
 * entry has its own result, as in C, and one that was refused is complete with that error.
 * `whole` holds the plan, promise and number of the list's own notification. */
int list_submit(struct listing *l, bool waits, struct wanted *whole);

bool list_any(struct request **list, const uint64_t *serials, size_t n);
size_t list_left(struct request **list, const uint64_t *serials, size_t n);
int list_suspend(struct request **list, size_t n, int64_t nanoseconds);

#endif
