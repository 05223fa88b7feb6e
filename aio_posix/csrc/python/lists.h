/* lio_listio and aio_suspend. */
#ifndef AIO_POSIX_LISTS_H
#define AIO_POSIX_LISTS_H
#include "python.h"

extern PyMethodDef list_methods[];

#endif
