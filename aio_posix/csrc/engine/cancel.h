/* aio_cancel, without stranding the requests behind the one that is cancelled. */
#ifndef AIO_POSIX_CANCEL_H
#define AIO_POSIX_CANCEL_H
#include "request.h"

/* AIO_CANCELED, AIO_NOTCANCELED, AIO_ALLDONE, or minus an errno. */
int request_cancel(int fd, struct request *r);
int fildes_cancel(int fd);

#endif
