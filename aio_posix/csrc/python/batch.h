/* A turn of an event loop in one call.  Many requests go in and many results come out, with few
 * Python operations for each.
 *
 * - A batch's memory is freed when Python gives it up and no waiter holds it.  Python keeps it
 *   until all its entries are over, so nothing of glibc's refers to it any more.
 * - What the entries refer to (buffers, descriptors) lives as long as the batch, which is kept
 *   for each entry until somebody notices that entry's end.
 * - `life` is taken with the GIL held, because its holders never wait for the GIL.
 */
#ifndef AIO_POSIX_BATCH_H
#define AIO_POSIX_BATCH_H
#include "../engine/list.h"
#include "../engine/waiter.h"

/* Entries of one list.  Fewer wake the loop more often.  With more, a loop waits for the last of
 * what it asked for while no helper has anything to do. */
enum { BATCH = 16 };

struct batch {
    unsigned n, left;                  /* left counts those not handed out yet */
    bool refused;                      /* nothing was submitted */
    struct wait wait;
    struct listing list;               /* of these: */
    struct request requests[BATCH];
    struct request *members[BATCH];
    struct wanted wanted[BATCH];
    uint64_t serials[BATCH];
    bool open[BATCH];
};

struct batch *batch_new(void);
void batch_free(struct batch *b);
int batch_held(struct batch *b);   /* a waiter may look at its requests */
void batch_post(struct batch *b, struct bell *bell);
void *batch_memory(struct batch *b, unsigned i);
int batch_cancel(struct batch *b, unsigned i);
int64_t perform(int op, int fd, void *buf, size_t nbytes, int64_t offset);
#endif
