#ifndef AIO_POSIX_BATCH_H
#define AIO_POSIX_BATCH_H
#include "notify.h"

/* Entries of one list.  Fewer cost more notifications (a thread each, some 50 us); with more, a loop waits for the
 * last of what it asked for while no helper has anything to do. */
#define BATCH 16

/* One lio_listio of an event loop and its requests.  `members` is what the notice borrows. */
struct batch {
    unsigned room, n, left;            /* left: not handed out by batch_collect yet */
    struct request **members;
    struct request *requests;
    unsigned char *open;
};

struct batch *batch_new(unsigned room);
void batch_free(struct batch *b);
int batch_cancel(struct batch *b, unsigned i);
struct request *batch_request(struct batch *b, unsigned i);
int64_t perform(int op, int fd, void *buf, size_t nbytes, int64_t offset);
int batch_start(const char *module_name);
#endif
