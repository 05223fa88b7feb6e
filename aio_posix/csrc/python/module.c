/* The module aio_posix._calls has all of our C that takes and returns Python objects.  It is in the
 * library that cffi builds as _ffi.  It has one state for the process, so it can be loaded once.
 *
 * Without a GIL it asks for none.  What two threads may use at the same time is atomic, guarded by
 * one of the engine's locks, or read and written in a critical section of its object.
 */
#include "python.h"
#include "batches.h"
#include "calls.h"
#include "control.h"
#include "describe.h"
#include "gate.h"
#include "jobs.h"
#include "kept.h"
#include "lists.h"
#include "promises.h"
#include "snapshot.h"
#include "spare.h"
#include "watch.h"
#include "../engine/waiter.h"

#include <stdarg.h>
#include <string.h>

PyObject *in_python(const char *module_name, const char *function_name, const char *format, ...)
{
    va_list details;
    va_start(details, format);
    PyObject *arguments = Py_VaBuildValue(format, details), *result = NULL;
    va_end(details);
    PyObject *module = arguments ? PyImport_ImportModule(module_name) : NULL;
    PyObject *function = module ? PyObject_GetAttrString(module, function_name) : NULL;
    if (function != NULL)
        result = PyObject_CallObject(function, arguments);
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(arguments);
    return result;
}

int int_of(PyObject *number, int *n)
{
    long value = PyLong_AsLong(number);
    if (value == -1 && PyErr_Occurred())
        return -1;
    *n = (int)value;
    if (*n == value)
        return 0;
    PyErr_Format(PyExc_OverflowError, "%ld does not fit a C int", value);
    return -1;
}

void slot_of(PyTypeObject *type, int id, void *function)
{
    void *slot = PyType_GetSlot(type, id);
    memcpy(function, &slot, sizeof slot);
}

PyTypeObject *type_of(PyObject *module, const char *name, int size, unsigned flags,
                      PyType_Slot slots[])
{
    return subtype_of(module, name, size, flags, slots, NULL);
}

PyTypeObject *subtype_of(PyObject *module, const char *name, int size, unsigned flags,
                         PyType_Slot slots[], PyTypeObject *base)
{
    PyType_Spec spec = { name, size, 0, Py_TPFLAGS_DEFAULT | flags, slots };
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpecWithBases(&spec, (PyObject *)base);
    if (type == NULL || PyModule_AddType(module, type) != 0)
        return NULL;
    return type;
}

extern PyMethodDef page_cache_methods[], many_methods[], openfile_methods[], opening_methods[];
extern int lines_start(PyObject *module), each_line_start(PyObject *module),
    opening_start(PyObject *module), position_start(PyObject *module),
    writes_start(PyObject *module);

static int execute(PyObject *module)
{
    static atomic_bool loaded;
    PyMethodDef *const methods[] = {
        call_methods, list_methods, promise_methods, snapshot_methods, watch_methods, batch_methods,
        page_cache_methods, many_methods, openfile_methods, opening_methods,
    };
    if (atomic_exchange(&loaded, true)) {
        PyErr_SetString(PyExc_ImportError, "aio_posix is loaded in this process already: "
                                           "it cannot be loaded a second time");
        return -1;
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (PyModule_AddFunctions(module, methods[i]) != 0)
            return -1;
    if (spare_start() != 0 || kept_start() != 0 || describe_start() != 0 || gate_start() != 0
        || control_start(module) != 0 || lines_start(module) != 0
        || each_line_start(module) != 0 || position_start(module) != 0
        || jobs_start(module) != 0 || opening_start(module) != 0 || writes_start(module) != 0)
        return -1;
    return process_start() == 0 && waiters_start() == 0 ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {
    { Py_mod_exec, NULL },   /* PyInit__calls() fills it: ISO C has no cast from a function */
#ifdef Py_GIL_DISABLED
    { Py_mod_gil, Py_MOD_GIL_NOT_USED },
#endif
    { 0, NULL },
};
static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "_calls", .m_size = 0, .m_slots = slots,
};

PyMODINIT_FUNC PyInit__calls(void)
{
    int (*run)(PyObject *) = execute;
    __builtin_memcpy(&slots[0].value, &run, sizeof run);
    return PyModuleDef_Init(&definition);
}
