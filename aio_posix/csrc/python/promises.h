/* A notification hands out the callable (NULL for a queue) and the value, both owned. */
#ifndef AIO_POSIX_PROMISES_H
#define AIO_POSIX_PROMISES_H
#include "python.h"
#include "../engine/notice.h"

struct delivery {
    PyObject *callable, *value, *of;   /* `of` is for the watcher, or NULL */
    bool late;                         /* glibc had lost the notification */
};

void promise_release(struct promise p);           /* of a submission that did not happen */
struct delivery promise_take(struct notice *n);   /* the notice is free again */
void delivery_release(struct delivery d);
void delivery_log(struct delivery d);             /* in any thread but the sweeper */

extern PyMethodDef promise_methods[];

#endif
