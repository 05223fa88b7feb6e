/* An AIO in which nothing happens by itself: the test completes requests, sends or loses their
 * notifications and holds threads, one step at a time.
 *
 * It behaves as glibc does where csrc/engine/ relies on that.  One request of a descriptor runs at
 * a time.  The run list holds the head of each queue.  Cancelling a head that has not been served
 * strands the rest until the queue has been emptied.
 */
#ifndef TESTS_C_PUPPET_H
#define TESTS_C_PUPPET_H
#include <aio.h>
#include <stdbool.h>
#include <stddef.h>

/* in the place of helpers */
bool serve(int fd);                          /* ends the head of this queue well, if it may run */
void finish(struct aiocb *cb, int error);    /* ends any request that is queued */
int queued(int fd);
void take_head(int fd);                      /* a helper has it: it cannot be cancelled */

/* in the place of notification threads; what glibc owes stands in a line, oldest first */
int pending(void);
void notify_one(void);                       /* sends the oldest, in this thread */
union sigval pending_ticket(int i);
void lose_all(void);

/* The next submission (or list, after `first` of its entries) is refused with this errno.  glibc
 * stores it in the request when no helper could be made, and does not touch the request when it
 * has no memory. */
void refuse(int error, int first);
void refuse_untouched(int error);

/* aio_error() takes a mutex, as it does in glibc: a helper that is not done yet holds that */
void hold_glibc(void);
void release_glibc(void);

/* threads inside aio_suspend, which stay there until they are told to leave */
void hold_waiters(bool hold);
int waiters(void);

/* called when aio_read, aio_write or aio_fsync begins, and aio_cancel of a whole descriptor */
extern void (*on_submit)(struct aiocb *cb);
extern void (*on_cancel)(void);
extern void (*on_refusal)(struct aiocb *cb);   /* after the error was stored */
#endif
