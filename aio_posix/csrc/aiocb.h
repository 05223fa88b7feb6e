/* What cffi needs of aiocb.c: the arrays of a list of requests. */
#ifndef AIO_POSIX_AIOCB_H
#define AIO_POSIX_AIOCB_H
#include "notify.h"

struct listing {
    size_t n, kept;              /* kept: how many of them keep_list() has kept */
    struct request **requests;   /* borrowed from Python, as what wanted points to */
    uint64_t *serials;
    struct wanted *wanted;
};

struct listing *listing_new(size_t n);
void listing_free(struct listing *l);
int aiocb_start(const char *module_name);
int flight_start(const char *module_name);
#endif
