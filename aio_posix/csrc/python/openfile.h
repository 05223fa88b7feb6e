#ifndef AIO_POSIX_OPENFILE_H
#define AIO_POSIX_OPENFILE_H

enum { CLOSED, LOCKED, MAY_WAIT };     /* close_local(): what became of a descriptor */
#endif
