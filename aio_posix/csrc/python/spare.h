#ifndef AIO_POSIX_SPARE_H
#define AIO_POSIX_SPARE_H
#include "python.h"

/* bytes whose content is undefined, for a read that keeps the GIL; NULL with a MemoryError */
PyObject *spare_bytes(Py_ssize_t nbytes);

/* 0, or -1 with an exception */
int spare_start(void);
#endif
