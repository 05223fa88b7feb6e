#ifndef AIO_POSIX_PAGE_CACHE_H
#define AIO_POSIX_PAGE_CACHE_H
#include "python.h"

#include <stdint.h>
#include <sys/types.h>

#define NOW_MOST (1 << 20)   /* bytes of one such read, some 200 us */

/* declined() says why a read was not made at once */
enum { MAY, REST, ABSENT, UNSUPPORTED, UNCACHED, STREAM, OTHERWISE };

/* bytes, short at the end of the file, or None: declined() says why */
PyObject *page_cache_read(int fd, Py_ssize_t nbytes, int64_t offset);

/* The same into a buffer: the count.  None also stands for an argument that may be wrong. */
PyObject *page_cache_readinto(int fd, PyObject *buffer, int64_t offset);

/* How many bytes came into memory of the caller, or -1: declined() says why. */
ssize_t page_cache_fill(int fd, char *to, Py_ssize_t nbytes, int64_t offset);

/* -1, and no exception, for what is no int that a read can have. */
int64_t page_cache_offset(PyObject *number);

/* For the rest of this slice: fd is a regular file, without O_DIRECT. */
void page_cache_trust(int fd);

int slice_spend(ssize_t units);
void slice_open(int64_t nanoseconds);
int slice_close(void);
int now_enable(int on);
#endif
