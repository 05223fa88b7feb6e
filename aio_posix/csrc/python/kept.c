/* State: how many are not released yet; `sockets`, for each socket object in use (by its address)
 * the number of its requests.
 */
#include "kept.h"
#include "../engine/sweeper.h"

#include <stdlib.h>

struct kept_block {   /* those of a list are allocated together, and released one by one */
    _Atomic size_t left;
    struct kept kept[];
};

static _Atomic long count;
static PyObject *sockets, *n_io_refs, *n_decref;

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

/* The socket's own counter; -1 with an exception. */
static int add_to_io_refs(PyObject *socket)
{
    PyObject *refs = PyObject_GetAttr(socket, n_io_refs), *more = NULL;
    long n = refs ? PyLong_AsLong(refs) : -1;
    int rc = -1;
    if (n >= 0 && (more = PyLong_FromLong(n + 1)) != NULL)
        rc = PyObject_SetAttr(socket, n_io_refs, more);
    Py_XDECREF(more);
    Py_XDECREF(refs);
    return rc;
}

/* Adds to the number of requests of a socket; what it was, or -1 with an exception. */
static long add_user(PyObject *socket, long change)
{
    PyObject *key = PyLong_FromVoidPtr(socket), *entry, *next = NULL;
    long was = -1;
    if (key == NULL)
        return -1;
    entry = PyDict_GetItemWithError(sockets, key);
    was = entry ? PyLong_AsLong(entry) : PyErr_Occurred() ? -1 : 0;
    if (was + change == 0 && was > 0) {
        if (PyDict_DelItem(sockets, key) != 0)
            was = -1;
    } else if (was >= 0) {
        next = PyLong_FromLong(was + change);
        if (next == NULL || PyDict_SetItem(sockets, key, next) != 0)
            was = -1;
        Py_XDECREF(next);
    }
    Py_DECREF(key);
    return was;
}

static PyObject *socket_type(void)
{
    static PyObject *type;
    PyObject *name, *module;
    if (type != NULL || (name = PyUnicode_FromString("socket")) == NULL)
        return type;
    module = PyImport_GetModule(name);   /* nobody has a socket before that is imported */
    if (module != NULL)
        type = PyObject_GetAttrString(module, "socket");
    Py_XDECREF(module);
    Py_DECREF(name);
    return type;
}

/* The file object that a request was given, whose descriptor is fd. */
int kept_file(struct kept *k, PyObject *file, int fd)
{
    PyObject *type = socket_type();
    int is = type ? PyObject_IsInstance(file, type) : PyErr_Occurred() ? -1 : 0;
    if (is < 0)
        return -1;
    if (is && fd >= 0) {
        long was = -1;
        LOCKED(sockets, {
            was = add_user(file, 1);
            if (was == 0 && add_to_io_refs(file) != 0) {
                struct aside a = put_aside();
                add_user(file, -1);
                take_up(a);
                was = -1;
            }
        });
        if (was < 0)
            return -1;
        k->is_socket = true;
    }
    Py_INCREF(file);
    k->file = file;
    k->fd = fd;
    return 0;
}

static void let_socket_go(PyObject *socket)
{
    long was;
    LOCKED(sockets, was = add_user(socket, -1));
    PyObject *result = was == 1 ? PyObject_CallMethodObjArgs(socket, n_decref, NULL) : NULL;
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(socket);
    Py_XDECREF(result);
}

static void look_again(PyObject *file, int fd)
{
    PyObject *result = in_python("aio_posix.flight", "look_again", "(Oi)", file, fd);
    if (result == NULL)
        PyErr_WriteUnraisable(file);
    Py_XDECREF(result);
}

static void release(struct kept *k)
{
    struct kept was = *k;
    struct aside a = put_aside();
    if (atomic_fetch_sub(&k->block->left, 1) == 1)
        free(k->block);
    atomic_fetch_sub(&count, 1);
    if (was.buffer.obj != NULL)
        PyBuffer_Release(&was.buffer);
    if (was.is_socket)
        let_socket_go(was.file);
    else if (was.file != NULL && was.flew)
        look_again(was.file, was.fd);
    Py_XDECREF(was.file);
    Py_XDECREF(was.also);
    plan_release(was.plan);
    if (was.request)
        request_release(was.request);
    take_up(a);
}

void kept_release(void *kept)
{
    if (kept != NULL)
        release(kept);
}

void kept_refuse(void *kept)
{
    if (kept == NULL)
        return;
    ((struct kept *)kept)->flew = false;
    release(kept);
}

void kept_abandon(struct request *r)
{
    void *kept = NULL;
    if (request_abandon(r)) {
        pthread_mutex_lock(&life);
        sweeper_needed();
        pthread_mutex_unlock(&life);
    } else {
        request_look(r, &kept);
        kept_release(kept);
    }
}

int kept_start(void)
{
    sockets = PyDict_New();
    n_io_refs = PyUnicode_InternFromString("_io_refs");
    n_decref = PyUnicode_InternFromString("_decref_socketios");
    return sockets && n_io_refs && n_decref ? 0 : -1;
}
