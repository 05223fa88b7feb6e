/* What calls.c and lists.c share. */
#ifndef AIO_POSIX_CALLS_H
#define AIO_POSIX_CALLS_H
#include "python.h"

int may_submit(void);          /* 0 with an exception */
PyObject *refused(int error);  /* NULL with the exception that an errno of a submission means */

extern PyMethodDef call_methods[];

#endif
