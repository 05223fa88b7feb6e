/* The arrays of a list of requests.  Whoever submits it owns it, and so does the notice that is
 * owed for the list. */
#ifndef AIO_POSIX_LISTING_H
#define AIO_POSIX_LISTING_H
#include "request.h"

struct wanted;

struct listing {
    _Atomic unsigned owners;
    size_t n;                    /* entries in use, each of them held */
    struct request **requests;
    uint64_t *serials;
    struct wanted *wanted;       /* as the submission wants them (submit.h) */
};

struct listing *listing_new(size_t room, size_t wanted_size);
void listing_hold(struct listing *l);
void listing_release(struct listing *l);

#endif
