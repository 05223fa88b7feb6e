/* Python.h with the stable ABI of 3.10, unless cffi says that this interpreter has none (free-threaded). */
#ifndef AIO_POSIX_PYTHON_H
#define AIO_POSIX_PYTHON_H
#ifndef _CFFI_NO_LIMITED_API
#define Py_LIMITED_API 0x030A0000
#endif
#include <Python.h>

#if defined(Py_LIMITED_API) && Py_LIMITED_API < 0x030B0000
/* The buffer protocol joined the stable ABI in 3.11; 3.10 has the same functions and the same struct (PEP 3118). */
typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len, itemsize;
    int readonly, ndim;
    char *format;
    Py_ssize_t *shape, *strides, *suboffsets;
    void *internal;
} Py_buffer;
#define PyBUF_SIMPLE 0
#define PyBUF_WRITABLE 1
extern int PyObject_GetBuffer(PyObject *exporter, Py_buffer *view, int flags);
extern void PyBuffer_Release(Py_buffer *view);
#endif

/* Not Py_RETURN_NONE: with the headers of 3.12 and 3.13 that takes None for immortal, which it is not before 3.12. */
static inline PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}
#endif
