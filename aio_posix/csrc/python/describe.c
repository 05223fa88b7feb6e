#include "describe.h"
#include "control.h"
#include "promises.h"
#include "watch.h"

static PyObject *n_fildes, *n_buf, *n_offset, *n_nbytes, *n_reqprio, *n_sigevent, *n_opcode;
static PyObject *n_fileno;
static PyObject *n_computed;   /* the size, where a subclass may compute it */

int describe_start(void)
{
    static const struct { PyObject **name; const char *text; } all[] = {
        { &n_fildes, "aio_fildes" }, { &n_buf, "aio_buf" }, { &n_offset, "aio_offset" },
        { &n_nbytes, "_nbytes" }, { &n_reqprio, "aio_reqprio" }, { &n_sigevent, "aio_sigevent" },
        { &n_opcode, "aio_lio_opcode" }, { &n_fileno, "fileno" }, { &n_computed, "aio_nbytes" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((*all[i].name = PyUnicode_InternFromString(all[i].text)) == NULL)
            return -1;
    return 0;
}

/* Whether the fields are what C sees.  A subclass may compute them. */
static int is_plain(PyObject *cb)
{
    static _Atomic(PyTypeObject *) plain;
    if (atomic_load(&plain) == NULL)
        atomic_store(&plain, (PyTypeObject *)in_python("aio_posix.aiocb", "plain_type", "()"));
    return atomic_load(&plain) == NULL ? -1 : Py_TYPE(cb) == atomic_load(&plain);
}

static PyObject *field(PyObject *cb, int plain, PyObject **slot, PyObject *name)
{
    PyObject *value = NULL;
    if (plain)
        LOCKED(cb, { value = *slot; Py_XINCREF(value); });
    return value ? value : PyObject_GetAttr(cb, name);
}

/* An int field as C has it.  On an error its exception is set. */
static long long number(PyObject *cb, int plain, PyObject **slot, PyObject *name, long long most)
{
    PyObject *value = field(cb, plain, slot, name);
    long long n = value ? PyLong_AsLongLong(value) : -1;
    Py_XDECREF(value);
    if ((n > most || n < -most - 1) && !PyErr_Occurred())
        PyErr_Format(PyExc_OverflowError, "%U does not fit the field of C: %lld", name, n);
    return n;
}

/* The descriptor, an int or what fileno() says. */
static int descriptor(PyObject *file, struct kept *k)
{
    PyObject *fd = file;
    Py_INCREF(fd);
    if (!PyLong_Check(file)) {
        Py_DECREF(fd);
        fd = PyObject_CallMethodObjArgs(file, n_fileno, NULL);
    }
    if (fd != NULL && !PyLong_Check(fd))
        PyErr_SetString(PyExc_TypeError, "fileno() of aio_fildes returned no int");
    int beyond = 0;
    long long n = fd && !PyErr_Occurred() ? PyLong_AsLongLongAndOverflow(fd, &beyond) : -1;
    if (!PyErr_Occurred() && (beyond || n != (int)n))
        PyErr_Format(PyExc_ValueError, "descriptor %S does not fit a C int", fd);
    Py_XDECREF(fd);
    if (PyErr_Occurred())
        return -1;
    if (!PyLong_Check(file) && kept_file(k, file, (int)n) != 0)
        return -1;
    return (int)n;
}

/* Exports the buffer.  What glibc would turn into EFAULT or into other memory is refused. */
static int pin(PyObject *cb, int plain, struct wanted *w, struct kept *k)
{
    struct control *c = (struct control *)cb;
    PyObject *buf = field(cb, plain, &c->buf, n_buf), *result = NULL;
    PyObject *nbytes = buf ? field(cb, plain, &c->nbytes, plain ? n_nbytes : n_computed) : NULL;
    size_t wanted = 0, size = 0;
    int fits = 0;
    if (nbytes == NULL) {
        Py_XDECREF(buf);
        return -1;
    }
    if (buf != Py_None) {
        int flags = w->op == LIO_READ ? PyBUF_WRITABLE : PyBUF_SIMPLE;
        if (PyObject_GetBuffer(buf, &k->buffer, flags) == 0) {
            w->buf = k->buffer.buf;
            size = (size_t)k->buffer.len;
            wanted = nbytes == Py_None ? size : PyLong_AsSize_t(nbytes);
            fits = !PyErr_Occurred() && wanted <= size;
        } else {
            k->buffer.obj = NULL;
        }
    }
    if (!fits) {   /* Python says what is wrong, and what the user's code raised gets through */
        PyObject *was = PyErr_Occurred();
        if (was == NULL || PyErr_ExceptionMatches(PyExc_TypeError)
            || PyErr_ExceptionMatches(PyExc_ValueError) || PyErr_ExceptionMatches(PyExc_BufferError)
            || PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            result = in_python("aio_posix.aiocb", "unusable", "(OOi)", buf, nbytes, w->op);
            Py_XDECREF(result);
            if (result != NULL)
                PyErr_SetString(PyExc_ValueError, "aio_buf changed while it was submitted");
        }
    }
    w->nbytes = wanted;
    Py_DECREF(nbytes);
    Py_DECREF(buf);
    return fits ? 0 : -1;
}

/* How the end is to be announced.  `value` is what sigev_value None stands for, and the caller's.
 * `cb` is the aiocb, or NULL for a list.  `also` gets what must live for a signal. */
int describe_notification(PyObject *sig, PyObject *value, PyObject *cb, struct wanted *w,
                          PyObject **also)
{
    struct notifier *n = (struct notifier *)sig;
    struct plan *plan = NULL;
    PyObject *own = NULL, *callable = NULL, *pair;
    *also = NULL;
    if (sig == Py_None)
        return 0;
    if (!PyType_IsSubtype(Py_TYPE(sig), notifier_type)) {
        PyErr_SetString(PyExc_TypeError, "aio_sigevent must be a sigevent or None");
        return -1;
    }
    LOCKED(sig, {
        plan = n->plan;
        plan_hold(plan);
        own = n->value;
        Py_XINCREF(own);
        callable = n->callable;
        Py_XINCREF(callable);
    });
    w->plan = plan;
    int kind = plan ? plan->sigev.sigev_notify : SIGEV_NONE, rc = -1;
    if (kind == SIGEV_SIGNAL && plan->token) {
        pair = in_python("aio_posix.signalled", "signalled_by", "(OOO)", cb ? cb : Py_None, value,
                         own ? own : Py_None);
        if (pair != NULL && PyArg_ParseTuple(pair, "KO", &w->number, also)) {
            Py_INCREF(*also);
            w->unattended = true;
            rc = 0;
        }
        Py_XDECREF(pair);
    } else if (kind == SIGEV_THREAD && plan->queue && atomic_load(&plan->queue->closed)) {
        PyErr_SetString(PyExc_ValueError, "the CompletionQueue of this request is closed");
    } else {
        if (kind == SIGEV_THREAD) {
            w->promise.value = own && own != Py_None ? own : value;
            Py_INCREF((PyObject *)w->promise.value);
            if (plan->queue == NULL) {
                Py_XINCREF(callable);
                w->promise.callable = callable;
            }
        }
        rc = 0;
    }
    Py_XDECREF(own);
    Py_XDECREF(callable);
    return rc;
}

enum described describe(PyObject *cb, int op, struct wanted *w, struct kept *k)
{
    struct control *c = control_of(cb);
    int plain = c ? is_plain(cb) : -1;
    if (plain < 0)
        return FAILED;
    w->kept = k;
    w->op = op != OWN_OPCODE ? op : (int)number(cb, plain, &c->opcode, n_opcode, INT_MAX);
    if (PyErr_Occurred())
        return FAILED;
    if (op == OWN_OPCODE && w->op == LIO_NOP)
        return NOTHING_TO_DO;
    if (op == OWN_OPCODE && w->op != LIO_READ && w->op != LIO_WRITE) {
        PyErr_Format(PyExc_ValueError, "aio_lio_opcode %d is none of LIO_READ, LIO_WRITE, LIO_NOP",
                     w->op);
        return FAILED;
    }
    w->serial = serial_new();
    k->request = c->request;
    request_hold(c->request);
    w->offset = number(cb, plain, &c->offset, n_offset, INT64_MAX);
    if (PyErr_Occurred())
        return FAILED;
    w->reqprio = (int)number(cb, plain, &c->reqprio, n_reqprio, INT_MAX);
    if (PyErr_Occurred())
        return FAILED;
    PyObject *sig = field(cb, plain, &c->sigevent, n_sigevent);
    int rc = sig ? describe_notification(sig, cb, cb, w, &k->also) : -1;
    Py_XDECREF(sig);
    k->plan = w->plan;
    k->number = w->number;
    if (rc != 0)
        return FAILED;
    PyObject *file = field(cb, plain, &c->fildes, n_fildes);
    if (file == NULL)
        return FAILED;
    w->fd = descriptor(file, k);
    Py_DECREF(file);
    if (PyErr_Occurred())
        return FAILED;
    w->unattended = w->unattended || k->file != NULL;   /* it may be closed before anybody looks */
    if ((w->op == LIO_READ || w->op == LIO_WRITE) && pin(cb, plain, w, k) != 0)
        return FAILED;
    k->flew = true;
    if (watched()) {
        PyObject *code = PyLong_FromLong(w->op);
        watch_tell("request", PyLong_FromUnsignedLongLong(w->serial), "(ONKK)", cb, code,
                   (unsigned long long)(uintptr_t)w->buf, (unsigned long long)w->nbytes);
    }
    return DESCRIBED;
}

void describe_drop(struct wanted *w)
{
    promise_release(w->promise);
    w->promise = (struct promise){ NULL, NULL };
    kept_refuse(w->kept);
    w->kept = NULL;
}
