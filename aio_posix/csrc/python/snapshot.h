/* What is in flight at a moment, for the drain at exit and for tests. */
#ifndef AIO_POSIX_SNAPSHOT_H
#define AIO_POSIX_SNAPSHOT_H
#include "python.h"

extern PyMethodDef snapshot_methods[];

#endif
