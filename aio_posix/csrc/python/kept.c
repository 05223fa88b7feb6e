/* State: a count of those that are not released yet.  `type_of_sockets` is socket.socket once that
 * is there, `close_it` closes the descriptor of a socket object, and `silent` is set from the exit
 * on.
 */
#include "kept.h"
#include "../engine/sweeper.h"

#include <stdlib.h>

struct kept_block {   /* those of a list are allocated together, and released one by one */
    _Atomic size_t left;
    struct kept kept[];
};

static _Atomic long count;
static atomic_bool silent;
static _Atomic(PyObject *) type_of_sockets, close_it;
static PyObject *n_io_refs, *n_closed, *n_close, *n_fileno;

struct kept_block *kept_block_new(size_t n)
{
    struct kept_block *block = calloc(1, sizeof *block + n * sizeof *block->kept);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    atomic_store(&block->left, n);
    atomic_fetch_add(&count, (long)n);
    for (size_t i = 0; i < n; i++)
        block->kept[i].block = block;
    return block;
}

struct kept *kept_at(struct kept_block *block, size_t i)
{
    return &block->kept[i];
}

long kept_count(void)
{
    return atomic_load(&count);
}

static long count_user(PyObject *socket, long change)
{
    PyObject *refs = PyObject_GetAttr(socket, n_io_refs), *now = NULL;
    long n = refs ? PyLong_AsLong(refs) + change : -1;
    if (PyErr_Occurred() || (now = PyLong_FromLong(n)) == NULL
        || PyObject_SetAttr(socket, n_io_refs, now) != 0)
        n = -1;
    Py_XDECREF(now);
    Py_XDECREF(refs);
    return n;
}

/* The socket's own counter as it is now, or -1 with an exception. */
static long add_to_io_refs(PyObject *socket, long change)
{
    long n = -1;
    LOCKED(socket, { n = count_user(socket, change); });
    return n;
}

/* NULL without an exception as long as nobody can have a socket. */
static PyObject *socket_type(void)
{
    PyObject *name, *module, *base = NULL, *found = NULL, *close = NULL, *nobody = NULL;
    if (atomic_load(&type_of_sockets) != NULL || (name = PyUnicode_FromString("socket")) == NULL)
        return atomic_load(&type_of_sockets);
    module = PyImport_GetModule(name);
    if (module != NULL)
        found = PyObject_GetAttrString(module, "socket");
    if (found != NULL)
        base = PyObject_GetAttrString(found, "__base__");
    if (base != NULL)
        close = PyObject_GetAttr(base, n_close);
    if (close != NULL)
        atomic_store(&close_it, close);
    if (close == NULL || !atomic_compare_exchange_strong(&type_of_sockets, &nobody, found))
        Py_XDECREF(found);
    if (PyErr_ExceptionMatches(PyExc_AttributeError))   /* it is being imported */
        PyErr_Clear();
    Py_XDECREF(base);
    Py_XDECREF(module);
    Py_DECREF(name);
    return atomic_load(&type_of_sockets);
}

/* The file object that a request was given, whose descriptor is fd. */
int kept_file(struct kept *k, PyObject *file, int fd)
{
    PyObject *type = socket_type();
    int is = type ? PyObject_IsInstance(file, type) : PyErr_Occurred() ? -1 : 0;
    if (is < 0)
        return -1;
    if (is && fd >= 0) {
        add_to_io_refs(file, 1);
        if (PyErr_Occurred())
            return -1;
        k->is_socket = true;
    }
    Py_INCREF(file);
    k->file = file;
    k->fd = fd;
    return 0;
}

/* In the main thread, soon. */
static int raise_it(void *error)
{
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF((PyObject *)error);
    return -1;
}

/* An error of code that runs while something is released.  Errors of the kind that this code may
 * have are reported.  Others, which a signal handler has raised (Ctrl-C), must not be swallowed. */
static void report(PyObject *object, PyObject *kind)
{
    struct aside a;
    if (!PyErr_Occurred())
        return;
    if (!PyErr_ExceptionMatches(kind)) {
        PyErr_Fetch(&a.type, &a.value, &a.traceback);
        PyErr_NormalizeException(&a.type, &a.value, &a.traceback);
        if (a.value != NULL && a.traceback != NULL)
            PyException_SetTraceback(a.value, a.traceback);
        Py_XINCREF(a.value);
        if (a.value != NULL && Py_AddPendingCall(raise_it, a.value) == 0) {
            Py_XDECREF(a.type);
            Py_XDECREF(a.value);
            Py_XDECREF(a.traceback);
            return;
        }
        Py_XDECREF(a.value);
        PyErr_Restore(a.type, a.value, a.traceback);
    }
    PyErr_WriteUnraisable(object);
}

/* What _decref_socketios() does, which a signal handler could end half-way. */
static void let_socket_go(PyObject *socket)
{
    long left = add_to_io_refs(socket, -1);
    PyObject *closed = left >= 0 ? PyObject_GetAttr(socket, n_closed) : NULL, *result = NULL;
    if (closed != NULL && PyObject_IsTrue(closed) == 1 && left == 0) {
        if ((PyObject *)Py_TYPE(socket) != socket_type())   /* the program's, which may do more */
            result = PyObject_CallMethodObjArgs(socket, n_close, NULL);
        report(socket, PyExc_Exception);
        if (result == NULL)
            result = PyObject_CallFunctionObjArgs(atomic_load(&close_it), socket, NULL);
    }
    report(socket, PyExc_Exception);
    Py_XDECREF(result);
    Py_XDECREF(closed);
}

/* fileno() of a file of Python's is C, so no signal handler runs here. */
static void look_again(PyObject *file, int fd)
{
    PyObject *now = PyObject_CallMethodObjArgs(file, n_fileno, NULL), *result = NULL;
    bool same = now != NULL && PyLong_Check(now) && PyLong_AsLong(now) == fd;
    Py_XDECREF(now);
    if (PyErr_ExceptionMatches(PyExc_OSError) || PyErr_ExceptionMatches(PyExc_ValueError))
        PyErr_Clear();   /* it is closed */
    if (PyErr_Occurred()) {
        report(file, PyExc_Exception);
    } else if (!same) {
        result = in_python("aio_posix.flight", "closed_in_flight", "(Oi)", file, fd);
        report(file, PyExc_Warning);
    }
    Py_XDECREF(result);
}

static void keep(PyObject *what, PyObject *kind)
{
    struct aside a = put_aside();
    if (!forked && !atomic_load(&silent))
        Py_XDECREF(in_python("aio_posix.signalled", "unheard", "(O)", what));
    report(what, kind);
    take_up(a);
}

/* The signal that stands for `what` may be taken later.  All errors of a destructor are
 * reported, as those of __del__ are. */
void keep_for_signal(PyObject *what)
{
    keep(what, PyExc_BaseException);
}

/* Nobody else has k any more. */
static void release(struct kept *k)
{
    struct kept_block *block = k->block;
    struct aside a = put_aside();
    if (k->buffer.obj != NULL)
        PyBuffer_Release(&k->buffer);
    if (k->is_socket)
        let_socket_go(k->file);
    else if (k->file != NULL && k->flew && !atomic_load(&silent))
        look_again(k->file, k->fd);
    if (k->of_list != NULL && k->flew)
        keep(k->of_list, PyExc_MemoryError);
    Py_XDECREF(k->file);
    Py_XDECREF(k->also);
    Py_XDECREF(k->of_list);
    plan_release(k->plan);
    plan_release(k->plan_of_list);
    if (k->request)
        request_release(k->request);
    if (atomic_fetch_sub(&block->left, 1) == 1)
        free(block);
    atomic_fetch_sub(&count, 1);
    take_up(a);
}

void kept_release(void *kept)
{
    if (kept != NULL)
        release(kept);
}

void kept_orphaned(void *kept)
{
    struct kept *k = kept;
    if (k != NULL && k->number != 0)
        keep_for_signal(k->also);
    kept_release(kept);
}

void kept_refuse(void *kept)
{
    if (kept == NULL)
        return;
    ((struct kept *)kept)->flew = false;
    release(kept);
}

void kept_notice_end(struct request *r)
{
    void *kept;
    ssize_t result;
    if (request_pending(r))
        return;
    request_look(r, &result, &kept);
    kept_release(kept);
}

void kept_abandon(struct request *r)
{
    void *kept = NULL;
    ssize_t result;
    if (request_abandon(r)) {
        pthread_mutex_lock(&life);
        sweeper_needed();
        pthread_mutex_unlock(&life);
    } else {
        request_look(r, &result, &kept);
        kept_orphaned(kept);
    }
}

/* At exit modules go, and nothing can be warned of or signalled any more. */
void kept_silently(void)
{
    atomic_store(&silent, true);
}

int kept_start(void)
{
    n_io_refs = PyUnicode_InternFromString("_io_refs");
    n_closed = PyUnicode_InternFromString("_closed");
    n_close = PyUnicode_InternFromString("close");
    n_fileno = PyUnicode_InternFromString("fileno");
    return n_io_refs && n_closed && n_close && n_fileno ? 0 : -1;
}
