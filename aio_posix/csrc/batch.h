#ifndef AIO_POSIX_BATCH_H
#define AIO_POSIX_BATCH_H
#include "notify.h"
#include "waiter.h"

/* Entries of one list.  Fewer wake the loop more often; with more, a loop waits for the last of what it asked for while no
 * helper has anything to do. */
#define BATCH 16

/* One lio_listio of an event loop and its requests. */
struct batch {
    unsigned room, n, left;            /* left: not handed out by batch_collect yet */
    struct wait wait;
    struct request **members;
    struct request *requests;
    unsigned char *open;
};

struct batch *batch_new(unsigned room);
void batch_free(struct batch *b);
int batch_held(struct batch *b);
int batch_cancel(struct batch *b, unsigned i);
struct request *batch_request(struct batch *b, unsigned i);
int64_t perform(int op, int fd, void *buf, size_t nbytes, int64_t offset);
int batch_start(const char *module_name);
#endif
