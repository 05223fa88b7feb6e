/* Python.h with the stable ABI of 3.11, unless cffi says that this interpreter has none
 * (free-threaded), and what differs between the two.
 */
#ifndef AIO_POSIX_PYTHON_H
#define AIO_POSIX_PYTHON_H
#if !defined(_CFFI_NO_LIMITED_API) && !defined(Py_LIMITED_API)   /* cffi's own file has its */
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <structmember.h>

/* Not Py_RETURN_NONE, which takes None for immortal with the headers of 3.12 and later.  In 3.11 it
 * is not. */
static inline PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

/* Without a GIL, nobody changes the fields of an object meanwhile. */
#ifdef Py_GIL_DISABLED
#define LOCKED(object, statement) \
    do { Py_BEGIN_CRITICAL_SECTION(object); statement; Py_END_CRITICAL_SECTION(); } while (0)
#else
#define LOCKED(object, statement) do { statement; } while (0)
#endif

/* ISO C has no cast between pointers to functions and to objects, and METH_FASTCALL needs one
 * between kinds of functions. */
#define FASTCALL(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

/* PyList_New(n) of a free-threaded 3.14 crashes when it finds no memory for the items, so all lists
 * begin empty. */

/* An exception put aside while destructors run. */
struct aside {
    PyObject *type, *value, *traceback;
};

static inline struct aside put_aside(void)
{
    struct aside a = { NULL, NULL, NULL };
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX >= 0x030C0000
    a.value = PyErr_GetRaisedException();
#else
    PyErr_Fetch(&a.type, &a.value, &a.traceback);
#endif
    return a;
}

static inline void take_up(struct aside a)
{
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(a.value);
#else
    PyErr_Restore(a.type, a.value, a.traceback);
#endif
}

/* An int that fits C's, or -1 with an exception.  A larger one would become another number. */
int int_of(PyObject *number, int *n);

/* ISO C has no cast from a function to void *. */
static inline PyType_Slot function_slot(int id, void (*function)(void))
{
    PyType_Slot slot = { id, NULL };
    __builtin_memcpy(&slot.pfunc, &function, sizeof function);
    return slot;
}

/* ISO C has no cast from void * to a function, which is what `function` points to. */
void slot_of(PyTypeObject *type, int id, void *function);

/* A new type, which the module has from then on; NULL with an exception. */
PyTypeObject *type_of(PyObject *module, const char *name, int size, unsigned flags,
                      PyType_Slot slots[]);

PyTypeObject *subtype_of(PyObject *module, const char *name, int size, unsigned flags,
                         PyType_Slot slots[], PyTypeObject *base);

/* Calls a function of one of our Python modules, where rare cases are written.  NULL with its
 * exception.  The format is that of Py_BuildValue for a tuple. */
PyObject *in_python(const char *module, const char *function, const char *format, ...);

#endif
