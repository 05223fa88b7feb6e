#ifndef AIO_POSIX_OPENFILE_H
#define AIO_POSIX_OPENFILE_H

enum { CLOSED, LOCKED, MAY_WAIT };     /* what close_local() did */
enum { STREAM_KIND = 1, DIRECT_KIND = 2 };   /* kind_of() */
#endif
