/* The C halves of aiocb and sigevent, which are their fields and the C structs that they own.
 *
 * - An aiocb owns one request for as long as it lives.  If it dies in flight the request lives
 *   on, and the sweeper notices its end.  That happens in the destructor, where no signal handler
 *   of the program can run, so nothing can come between.
 * - Checking values is the business of aiocb.py and sigevent.py.
 */
#ifndef AIO_POSIX_CONTROL_H
#define AIO_POSIX_CONTROL_H
#include "python.h"
#include "../engine/submit.h"

struct control {               /* aiocb, its fields NULL before __init__ */
    PyObject_HEAD
    struct request *request;
    PyObject *fildes, *buf, *offset, *nbytes, *reqprio, *sigevent, *opcode, *signalled;
};

struct notifier {              /* sigevent */
    PyObject_HEAD
    struct plan *plan;         /* NULL for SIGEV_NONE */
    PyObject *callable;        /* None for a queue */
    PyObject *value;           /* sigev_value */
};

extern PyTypeObject *control_type, *notifier_type;

struct control *control_of(PyObject *cb);   /* NULL with TypeError */
int control_start(PyObject *module);

#endif
