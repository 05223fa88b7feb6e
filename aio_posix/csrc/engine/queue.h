/* The C side of CompletionQueue.  Notification threads push without a lock, readers take batches.
 *
 * - A push that finds the stack empty makes the eventfd readable.  A taker clears the eventfd
 *   before it takes the whole stack, so nothing can arrive unseen.
 * - What does not fit into a batch waits in `ready`, and the eventfd stays readable.
 * - The last user closes the eventfd.  Users are Python until close(), a notice that will push, and
 *   a taker.  A thread that is about to push must never write to another file of the same number.
 * - The memory belongs to the users, to the Python object and to every plan that names the queue.
 * - Nothing stays in a closed queue.  close() and push() both look after they have done their
 *   part, and pass on what is there to the sweeper.  Python objects cannot be released in a
 *   notification thread, whose stack is for C alone.
 */
#ifndef AIO_POSIX_QUEUE_H
#define AIO_POSIX_QUEUE_H
#include "process.h"

struct queued {
    struct queued *next;
};

struct queue {
    _Atomic(struct queued *) newest;   /* pushed by notification threads, taken whole */
    _Atomic int users, owners;
    atomic_bool closed;
    int fd;                            /* eventfd, readable while there is something to take */
    pthread_mutex_t takers;            /* guards ready, and the order of batches */
    struct queued *ready;              /* taken but not yet handed out, oldest first */
};

struct queue *queue_new(void);         /* NULL with errno */
void queue_own(struct queue *q);
void queue_free(struct queue *q);
void queue_close(struct queue *q);
bool queue_hold(struct queue *q);      /* false if closed and its last user has gone */
void queue_drop(struct queue *q);
void queue_push(struct queue *q, struct queued *item);   /* of one that was held for it */
void queue_discard(struct queued *item);
bool queue_has_discarded(void);
struct queued *queue_discarded(void);  /* all of them, for the sweeper */
int queue_take(struct queue *q, struct queued **out, int room);   /* -1 if closed */
void queue_put_back(struct queue *q, struct queued **items, int n);   /* what was taken just now */
void queue_wait(struct queue *q, int milliseconds);

#endif
