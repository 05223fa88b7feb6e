/* What module.c needs of batch.c. */
#ifndef AIO_POSIX_BATCHES_H
#define AIO_POSIX_BATCHES_H
#include "python.h"

extern PyMethodDef batch_methods[];

#endif
