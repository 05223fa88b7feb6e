#include "control.h"
#include "kept.h"

#include <errno.h>

PyTypeObject *control_type, *notifier_type;

static void wrong_type(const char *wanted, PyObject *object)
{
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
    if (name != NULL)
        PyErr_Format(PyExc_TypeError, "expected %s, not %U", wanted, name);
    Py_XDECREF(name);
}

struct control *control_of(PyObject *cb)
{
    if (PyType_IsSubtype(Py_TYPE(cb), control_type))
        return (struct control *)cb;
    wrong_type("an aiocb", cb);
    return NULL;
}

static PyObject *control_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords;
    struct control *c = (struct control *)PyType_GenericAlloc(type, 0);
    if (c != NULL && (c->request = request_new()) == NULL) {
        Py_DECREF(c);
        return PyErr_NoMemory();
    }
    return (PyObject *)c;
}

static int control_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct control *c = (struct control *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(c->fildes);
    Py_VISIT(c->buf);
    Py_VISIT(c->offset);
    Py_VISIT(c->nbytes);
    Py_VISIT(c->reqprio);
    Py_VISIT(c->sigevent);
    Py_VISIT(c->opcode);
    Py_VISIT(c->signalled);
    return 0;
}

static int control_clear(PyObject *self)
{
    struct control *c = (struct control *)self;
    Py_CLEAR(c->fildes);
    Py_CLEAR(c->buf);
    Py_CLEAR(c->offset);
    Py_CLEAR(c->nbytes);
    Py_CLEAR(c->reqprio);
    Py_CLEAR(c->sigevent);
    Py_CLEAR(c->opcode);
    Py_CLEAR(c->signalled);
    return 0;
}

static void dealloc(PyObject *self, int (*clear)(PyObject *))
{
    PyTypeObject *type = Py_TYPE(self);
    clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static void control_dealloc(PyObject *self)
{
    struct control *c = (struct control *)self;
    PyObject_GC_UnTrack(self);
    if (c->request != NULL && !forked && atomic_load(&c->request->word) != 0)
        kept_abandon(c->request);
    if (c->signalled != NULL && c->signalled != Py_None)
        keep_for_signal(c->signalled);
    if (c->request != NULL)
        request_release(c->request);
    dealloc(self, control_clear);
}

static PyObject *notifier_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords;
    return PyType_GenericAlloc(type, 0);
}

static int notifier_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct notifier *n = (struct notifier *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(n->callable);
    Py_VISIT(n->value);
    return 0;
}

static int notifier_clear(PyObject *self)
{
    struct notifier *n = (struct notifier *)self;
    Py_CLEAR(n->callable);
    Py_CLEAR(n->value);
    return 0;
}

static void notifier_dealloc(PyObject *self)
{
    struct notifier *n = (struct notifier *)self;
    PyObject_GC_UnTrack(self);
    plan_release(n->plan);
    dealloc(self, notifier_clear);
}

/* _become(sigev_notify, signo, value of a signal or None for a number of ours, address of a queue
 * or 0, stack, callable, sigev_value) sets all at once, so that nobody sees a half of it and no
 * signal handler comes in between. */
static PyObject *become(PyObject *self, PyObject *args)
{
    struct notifier *n = (struct notifier *)self, old;
    int notify, signo;
    unsigned long long queue;
    Py_ssize_t stack;
    PyObject *raw, *callable, *value;
    struct plan *plan = NULL;
    if (!PyArg_ParseTuple(args, "iiOKnOO", &notify, &signo, &raw, &queue, &stack, &callable,
                          &value))
        return NULL;
    uintptr_t number = raw == Py_None ? 0 : (uintptr_t)PyLong_AsLongLong(raw);
    if (PyErr_Occurred())
        return NULL;
    if (notify != SIGEV_NONE) {
        plan = plan_new(notify, signo, number, raw == Py_None, (struct queue *)(uintptr_t)queue,
                        (size_t)stack);
        if (plan == NULL && errno == EINVAL)
            PyErr_Format(PyExc_ValueError, "sigev_notify_attributes: pthread_attr_setstacksize "
                                           "refuses %zd bytes", stack);
        else if (plan == NULL)
            PyErr_NoMemory();
        if (plan == NULL)
            return NULL;
    }
    Py_INCREF(callable);
    Py_INCREF(value);
    LOCKED(self, {
        old = *n;
        n->plan = plan;
        __atomic_store_n(&n->callable, callable, __ATOMIC_RELEASE);   /* Python reads members */
        __atomic_store_n(&n->value, value, __ATOMIC_RELEASE);         /* without a lock */
    });
    plan_release(old.plan);
    Py_XDECREF(old.callable);
    Py_XDECREF(old.value);
    return none();
}

static PyObject *in_use(PyObject *self, PyObject *unused)
{
    const struct notifier *n = (struct notifier *)self;
    bool used = false;
    (void)unused;
    LOCKED(self, { used = n->plan != NULL && plan_in_use(n->plan); });
    return PyBool_FromLong(used);
}

/* _signal_by(old, new) -> bool: _signalled becomes new, if it is still old (or None). */
static PyObject *signal_by(PyObject *self, PyObject *args)
{
    struct control *c = (struct control *)self;
    PyObject *old, *new, *before = NULL;
    bool same = false;
    if (!PyArg_ParseTuple(args, "OO", &old, &new))
        return NULL;
    Py_INCREF(new);
    LOCKED(self, {
        before = c->signalled;
        same = (before ? before : Py_None) == old;
        if (same)
            __atomic_store_n(&c->signalled, new, __ATOMIC_RELEASE);
    });
    Py_XDECREF(same ? before : new);
    return PyBool_FromLong(same);
}

static PyMemberDef control_members[] = {
    { "aio_fildes", T_OBJECT_EX, offsetof(struct control, fildes), 0, NULL },
    { "aio_buf", T_OBJECT_EX, offsetof(struct control, buf), 0, NULL },
    { "aio_offset", T_OBJECT_EX, offsetof(struct control, offset), 0, NULL },
    { "_nbytes", T_OBJECT_EX, offsetof(struct control, nbytes), 0, NULL },
    { "aio_reqprio", T_OBJECT_EX, offsetof(struct control, reqprio), 0, NULL },
    { "aio_sigevent", T_OBJECT_EX, offsetof(struct control, sigevent), 0, NULL },
    { "aio_lio_opcode", T_OBJECT_EX, offsetof(struct control, opcode), 0, NULL },
    { "_signalled", T_OBJECT, offsetof(struct control, signalled), 0, NULL },
    { NULL, 0, 0, 0, NULL },
};
static PyMemberDef notifier_members[] = {
    { "_callable", T_OBJECT_EX, offsetof(struct notifier, callable), 0, NULL },
    { "sigev_value", T_OBJECT_EX, offsetof(struct notifier, value), 0, NULL },
    { NULL, 0, 0, 0, NULL },
};
static PyMethodDef control_methods[] = {
    { "_signal_by", signal_by, METH_VARARGS, NULL },
    { NULL, NULL, 0, NULL },
};
static PyMethodDef notifier_methods[] = {
    { "_become", become, METH_VARARGS, NULL },
    { "_in_use", in_use, METH_NOARGS, NULL },
    { NULL, NULL, 0, NULL },
};

int control_start(PyObject *module)
{
    unsigned flags = Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC;
    PyType_Slot control[] = {
        function_slot(Py_tp_new, (void (*)(void))control_new),
        function_slot(Py_tp_dealloc, (void (*)(void))control_dealloc),
        function_slot(Py_tp_traverse, (void (*)(void))control_traverse),
        function_slot(Py_tp_clear, (void (*)(void))control_clear),
        { Py_tp_members, control_members },
        { Py_tp_methods, control_methods },
        { 0, NULL },
    };
    PyType_Slot notifier[] = {
        function_slot(Py_tp_new, (void (*)(void))notifier_new),
        function_slot(Py_tp_dealloc, (void (*)(void))notifier_dealloc),
        function_slot(Py_tp_traverse, (void (*)(void))notifier_traverse),
        function_slot(Py_tp_clear, (void (*)(void))notifier_clear),
        { Py_tp_members, notifier_members },
        { Py_tp_methods, notifier_methods },
        { 0, NULL },
    };
    control_type = type_of(module, "aio_posix._calls.Control", sizeof(struct control), flags,
                           control);
    notifier_type = type_of(module, "aio_posix._calls.Notifier", sizeof(struct notifier), flags,
                            notifier);
    return control_type && notifier_type ? 0 : -1;
}
