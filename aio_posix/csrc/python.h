/* Python.h with the stable ABI of 3.10, unless cffi says that this interpreter has none (free-threaded). */
#ifndef AIO_POSIX_PYTHON_H
#define AIO_POSIX_PYTHON_H
#ifndef _CFFI_NO_LIMITED_API
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>
#endif
