#ifndef AIO_POSIX_OPENFILE_H
#define AIO_POSIX_OPENFILE_H

enum { CLOSED, LOCKED, MAY_WAIT };     /* close_local(): what became of a descriptor */
enum { STREAM_KIND = 1, DIRECT_KIND = 2 };   /* kind_of() */
#endif
