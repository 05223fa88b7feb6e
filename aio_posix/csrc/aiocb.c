/* From an aiocb of Python to a request of C: what aiocb.py and listio.py do for every submission and every result.
 *
 * State: names of fields; the type; functions of aiocb.py for what is not common.
 *
 * - A request is described completely, and its buffer pinned, before it is kept; kept before glibc hears of it.
 * - What is pinned is an object with a Py_buffer: the export ends when the last table lets go of it.
 * - Between the first look at an aiocb and the submission other threads may run (where Python code is called, and
 *   in C without the GIL): whether the request is in flight is decided by C's request_submit and list_submit.
 */
#include "flight.h"
#include "aiocb.h"

#include <stdlib.h>
#include <string.h>

struct pinned {
    PyObject_HEAD
    Py_buffer buffer;
};

static PyTypeObject *aiocb_type, *pinned_type;
static PyObject *fileno_of, *unusable, *signalled_by;   /* aiocb.py */
static PyObject *n_fildes, *n_buf, *n_offset, *n_nbytes, *n_reqprio, *n_sigevent, *n_opcode, *n_request, *n_address;

struct described {
    struct wanted wanted;
    PyObject *request, *pinned, *file, *sig;   /* owned */
    struct request *c;
};

struct listing *listing_new(size_t n)
{
    struct listing *l = calloc(1, sizeof *l + n * (sizeof *l->wanted + sizeof *l->requests + sizeof *l->serials));
    if (l != NULL) {
        l->n = n;
        l->wanted = (struct wanted *)(void *)(l + 1);
        l->requests = (struct request **)(void *)(l->wanted + n);
        l->serials = (uint64_t *)(void *)(l->requests + n);
    }
    return l;
}

void listing_free(struct listing *l)
{
    free(l);
}

static void *pointer(PyObject *object, PyObject *name)
{
    PyObject *address = PyObject_GetAttr(object, name);
    void *p = address ? PyLong_AsVoidPtr(address) : NULL;
    Py_XDECREF(address);
    return p;
}

static long long number(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    long long n = value ? PyLong_AsLongLong(value) : -1;
    Py_XDECREF(value);
    return n;
}

static struct request *checked(PyObject *cb)
{
    if (PyType_IsSubtype(Py_TYPE(cb), aiocb_type))
        return pointer(cb, n_address);
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(cb), "__name__");
    if (name != NULL)
        PyErr_Format(PyExc_TypeError, "expected an aiocb, not %U", name);
    Py_XDECREF(name);
    return NULL;
}

static void unpin(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct pinned *p = (struct pinned *)self;
    if (p->buffer.obj != NULL)
        PyBuffer_Release(&p->buffer);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyTypeObject *make_pinned_type(void)
{
    PyType_Slot slots[] = { { Py_tp_dealloc, NULL }, { 0, NULL } };
    PyType_Spec spec = { "aio_posix.pinned", sizeof(struct pinned), 0, Py_TPFLAGS_DEFAULT, slots };
    void (*dealloc)(PyObject *) = unpin;
    memcpy(&slots[0].pfunc, &dealloc, sizeof dealloc);   /* ISO C has no cast for it */
    return (PyTypeObject *)PyType_FromSpec(&spec);
}

/* The buffer, exported, or None; refuses what glibc would turn into EFAULT or into somebody else's memory. */
static PyObject *pin(PyObject *cb, struct wanted *w)
{
    PyObject *buf = PyObject_GetAttr(cb, n_buf), *nbytes = PyObject_GetAttr(cb, n_nbytes);
    struct pinned *p = NULL;
    int pinned = 0;
    if (buf == NULL || nbytes == NULL)
        goto out;
    size_t most = 0;
    if (buf != Py_None) {
        if ((p = PyObject_New(struct pinned, pinned_type)) == NULL)
            goto out;
        p->buffer.obj = NULL;
        pinned = PyObject_GetBuffer(buf, &p->buffer, w->op == LIO_READ ? PyBUF_WRITABLE : PyBUF_SIMPLE) == 0;
        most = pinned ? (size_t)p->buffer.len : 0;
        w->buf = pinned ? p->buffer.buf : NULL;
    }
    PyErr_Clear();
    w->nbytes = nbytes == Py_None ? most : PyLong_AsSize_t(nbytes);
    if (PyErr_Occurred() || w->nbytes > most || (buf != Py_None && !pinned)) {
        Py_CLEAR(p);
        PyErr_Clear();
        Py_XDECREF(PyObject_CallFunction(unusable, "OOi", buf, nbytes, w->op));   /* raises */
    } else if (p == NULL) {
        p = (struct pinned *)none();
    }
out:
    Py_XDECREF(nbytes);
    Py_XDECREF(buf);
    return (PyObject *)p;
}

static void undescribe(struct described *d)
{
    Py_XDECREF(d->request);
    Py_XDECREF(d->pinned);
    Py_XDECREF(d->file);
    Py_XDECREF(d->sig);
}

/* op -1: the aiocb's own aio_lio_opcode.  0, or -1 with an exception. */
static int describe(PyObject *cb, int op, struct described *d)
{
    struct wanted *w = &d->wanted;
    memset(d, 0, sizeof *d);
    if ((d->c = checked(cb)) == NULL)
        return -1;
    w->op = op >= 0 ? op : (int)number(cb, n_opcode);
    w->notice = NO_NOTICE;
    w->offset = number(cb, n_offset);
    w->reqprio = (int)number(cb, n_reqprio);
    d->request = PyObject_GetAttr(cb, n_request);
    d->file = PyObject_GetAttr(cb, n_fildes);
    d->sig = PyObject_GetAttr(cb, n_sigevent);
    if (d->request == NULL || d->file == NULL || d->sig == NULL || PyErr_Occurred())
        return -1;
    if (d->sig != Py_None)
        w->plan = pointer(d->sig, n_address);
    PyObject *fd = d->file;
    if (!PyLong_CheckExact(fd) && (fd = PyObject_CallFunctionObjArgs(fileno_of, fd, NULL)) == NULL)
        return -1;
    w->fd = (int)PyLong_AsLong(fd);
    if (fd != d->file)
        Py_DECREF(fd);
    if (w->op == LIO_READ || w->op == LIO_WRITE)
        d->pinned = pin(cb, w);
    else
        d->pinned = none();
    return d->pinned == NULL || PyErr_Occurred() ? -1 : 0;
}

/* Keeps alive what this submission needs; also: kept as well, or NULL.  The serial, or NULL with nothing kept. */
static PyObject *keep(PyObject *cb, struct described *d, PyObject *also)
{
    struct wanted *w = &d->wanted;
    int notify = w->plan ? w->plan->sigev.sigev_notify : SIGEV_NONE;
    PyObject *serial = flight_serial(&w->serial), *alive = NULL, *told = NULL, *op = NULL, *kept = NULL;
    if (serial == NULL)
        return NULL;
    if (notify == SIGEV_SIGNAL && w->plan->self) {
        told = PyObject_CallFunctionObjArgs(signalled_by, cb, d->sig, serial, NULL);
        if (told == NULL)
            goto out;
        w->notice = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GetItem(told, 0));
        alive = PyTuple_GetItem(told, 1);
    } else {
        alive = d->sig;
        if (notify == SIGEV_THREAD) {   /* C looks at the request until it has been told */
            w->notice = flight_promise(d->sig, cb, serial, d->request, 1);
            if (w->notice == NO_NOTICE)
                goto out;
        }
    }
    alive = also ? PyTuple_Pack(2, alive, also) : (Py_INCREF(alive), alive);
    op = PyLong_FromLong(w->op);
    if (alive != NULL && op != NULL)
        kept = PyTuple_Pack(5, d->request, op, d->pinned, d->file, alive);
    if (kept != NULL && flight_keep(serial, kept) != 0)
        Py_CLEAR(kept);
    if (kept == NULL && notify == SIGEV_THREAD)
        flight_break_promise(w->notice);
    if (kept != NULL && flight_watched())
        flight_tell("request", serial, "(OOKK)", cb, op, (unsigned long long)(uintptr_t)w->buf,
                    (unsigned long long)w->nbytes);
    Py_XDECREF(op);
    Py_XDECREF(alive);
out:
    Py_XDECREF(told);
    if (kept == NULL)
        Py_CLEAR(serial);
    Py_XDECREF(kept);
    return serial;
}

/* For a submission that did not happen. */
static void unkeep(const struct wanted *w)
{
    flight_done(w->serial);
    if (w->plan != NULL && w->plan->sigev.sigev_notify == SIGEV_THREAD)
        flight_break_promise(w->notice);
}

static void unkeep_all(struct listing *l)
{
    while (l->kept > 0)
        unkeep(&l->wanted[--l->kept]);
}

/* start(aiocb, op) -> 0 or an errno: EINPROGRESS for a request in flight, or what glibc refused it with */
static PyObject *start(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct described d;
    struct wanted *w = &d.wanted;
    PyObject *serial = NULL;
    int error = 0, op = nargs == 2 ? (int)PyLong_AsLong(args[1]) : -1;
    (void)self;
    if (op < 0) {
        PyErr_SetString(PyExc_TypeError, "expected aiocb, op");
        return NULL;
    }
    if (describe(args[0], op, &d) == 0 && (serial = keep(args[0], &d, NULL)) != NULL) {
        Py_BEGIN_ALLOW_THREADS
        error = request_submit(d.c, w);
        Py_END_ALLOW_THREADS
        if (error)
            unkeep(w);
        else if (w->unseen)
            flight_done(w->unseen);
    }
    undescribe(&d);
    Py_XDECREF(serial);
    return serial ? PyLong_FromLong(error) : NULL;
}

/* collect(aiocb) -> the count, which is returned by this; None if there is none (yet, any more, or for an error) */
static PyObject *collect(PyObject *self, PyObject *cb)
{
    (void)self;
    struct request *r = checked(cb);
    if (r == NULL)
        return NULL;
    uint64_t word = atomic_load(&r->word);
    if ((word & STATE_MASK) == IN_FLIGHT && !forked) {
        Py_BEGIN_ALLOW_THREADS
        word = request_poll(r);
        Py_END_ALLOW_THREADS
    }
    ssize_t result = request_result(r);
    if (forked || (word & STATE_MASK) != COMPLETE || r->error != 0
        || !atomic_compare_exchange_strong(&r->word, &word, word | RETURNED))
        return none();
    flight_done(word >> 2);
    return PyLong_FromSsize_t(result);
}

/* keep_list(address of a listing, aiocbs, also) -> serials, requests: all of them are kept, or (an exception) none */
static PyObject *keep_list(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    struct listing *l = nargs == 3 ? PyLong_AsVoidPtr(args[0]) : NULL;
    if (l == NULL || PyList_Size(args[1]) != (Py_ssize_t)l->n) {
        PyErr_SetString(PyExc_TypeError, "expected a listing, aiocbs, what to keep as well");
        return NULL;
    }
    size_t n = l->n, described = 0;
    struct described *all = PyMem_Calloc(n ? n : 1, sizeof *all);
    PyObject *serials = PyList_New((Py_ssize_t)n), *requests = PyList_New((Py_ssize_t)n), *both = NULL, *serial;
    if (all == NULL || serials == NULL || requests == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (; described < n; described++)
        if (describe(PyList_GetItem(args[1], (Py_ssize_t)described), -1, &all[described]) != 0) {
            described++;
            goto out;
        }
    for (size_t i = 0; i < n; i++) {
        struct described *d = &all[i];
        if ((serial = keep(PyList_GetItem(args[1], (Py_ssize_t)i), d, args[2] == Py_None ? NULL : args[2])) == NULL)
            goto out;
        l->wanted[i] = d->wanted;
        l->kept = i + 1;
        l->requests[i] = d->c;
        l->serials[i] = d->wanted.serial;
        Py_INCREF(d->request);
        PyList_SetItem(serials, (Py_ssize_t)i, serial);
        PyList_SetItem(requests, (Py_ssize_t)i, d->request);
    }
    both = PyTuple_Pack(2, serials, requests);
out:
    if (both == NULL)
        unkeep_all(l);
    for (size_t i = 0; i < described; i++)
        undescribe(&all[i]);
    PyMem_Free(all);
    Py_XDECREF(serials);
    Py_XDECREF(requests);
    return both;
}

/* unkeep_list(address of a listing): for one that was not submitted */
static PyObject *unkeep_list(PyObject *self, PyObject *address)
{
    (void)self;
    struct listing *l = PyLong_AsVoidPtr(address);
    if (l == NULL)
        return NULL;
    unkeep_all(l);
    return none();
}

/* start_list(address of a listing, whether to wait, number, sigevent or None, value, serials, kept) -> as list_submit();
 * with a promise to tell the value, if the sigevent is for a thread */
static PyObject *start_list(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 7) {
        PyErr_SetString(PyExc_TypeError, "expected a listing, waits, number, sigevent, value, serials, kept");
        return NULL;
    }
    struct listing *l = PyLong_AsVoidPtr(args[0]);
    int waits = PyObject_IsTrue(args[1]);
    uint64_t number = PyLong_AsUnsignedLongLong(args[2]);
    struct plan *plan = args[3] == Py_None || PyErr_Occurred() ? NULL : pointer(args[3], n_address);
    uint32_t notice = NO_NOTICE;
    if (l == NULL || PyErr_Occurred())
        return NULL;
    if (plan != NULL && plan->sigev.sigev_notify == SIGEV_THREAD) {   /* C looks at the requests until it has been told */
        notice = flight_promise(args[3], args[4], args[5], args[6], 0);
        if (notice == NO_NOTICE)
            return NULL;
    }
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = list_submit(l->requests, l->wanted, l->n, waits ? SHORT_PIECE : PIECE, number, plan, notice);
    Py_END_ALLOW_THREADS
    if (error < 0 && notice != NO_NOTICE)
        flight_break_promise(notice);
    for (size_t i = 0; error >= 0 && i < l->n; i++)
        if (l->wanted[i].unseen)
            flight_done(l->wanted[i].unseen);
    return PyLong_FromLong(error);
}

/* land_list(address of a listing) -> whether one failed: they are all complete */
static PyObject *land_list(PyObject *self, PyObject *address)
{
    (void)self;
    const struct listing *l = PyLong_AsVoidPtr(address);
    int failed = 0;
    for (size_t i = 0; l != NULL && i < l->n; i++) {
        flight_done(l->serials[i]);
        failed |= l->requests[i]->error != 0;
    }
    return l ? PyBool_FromLong(failed) : NULL;
}

static PyMethodDef methods[] = {
    { "start", (PyCFunction)(void (*)(void))start, METH_FASTCALL, NULL },
    { "collect", collect, METH_O, NULL },
    { "keep_list", (PyCFunction)(void (*)(void))keep_list, METH_FASTCALL, NULL },
    { "unkeep_list", unkeep_list, METH_O, NULL },
    { "start_list", (PyCFunction)(void (*)(void))start_list, METH_FASTCALL, NULL },
    { "land_list", land_list, METH_O, NULL },
    { NULL, NULL, 0, NULL },
};

/* Once, from aiocb.py: 0, or -1. */
int aiocb_start(const char *module_name)
{
    static const struct { PyObject **name; const char *text; } names[] = {
        { &n_fildes, "aio_fildes" }, { &n_buf, "aio_buf" }, { &n_offset, "aio_offset" }, { &n_nbytes, "_nbytes" },
        { &n_reqprio, "aio_reqprio" }, { &n_sigevent, "aio_sigevent" }, { &n_opcode, "aio_lio_opcode" },
        { &n_request, "_request" }, { &n_address, "_address" },
    };
    PyGILState_STATE gil = PyGILState_Ensure();
    int rc = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL)
            rc = -1;
    PyObject *module = PyImport_ImportModule(module_name);
    pinned_type = make_pinned_type();
    aiocb_type = (PyTypeObject *)named(module_name, "aiocb");
    fileno_of = named(module_name, "fileno");
    unusable = named(module_name, "unusable");
    signalled_by = named(module_name, "signalled_by");
    if (module == NULL || !pinned_type || !aiocb_type || !fileno_of || !unusable || !signalled_by
        || PyModule_AddFunctions(module, methods) != 0)
        rc = -1;
    Py_XDECREF(module);
    PyErr_Clear();
    PyGILState_Release(gil);
    return rc;
}
