#ifndef AIO_POSIX_BATCH_H
#define AIO_POSIX_BATCH_H
#include "notify.h"

#define BATCH 64   /* entries of one list: the notification's thread (some 50 us) is a small part of their cost by then */

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
