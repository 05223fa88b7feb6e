/* Telling a watcher what happens to requests. */
#ifndef AIO_POSIX_WATCH_H
#define AIO_POSIX_WATCH_H
#include "python.h"
#include "../engine/notice.h"

bool watched(void);

/* Calls watcher(event, of, *details).  `of` is a serial or a list of them, and stolen.  The format
 * of the details is that of Py_BuildValue for a tuple.  Nothing the watcher raises gets through. */
void watch_tell(const char *event, PyObject *of, const char *format, ...);
PyObject *watch_of(const struct notice *n);

/* When a call that submits begins (0 if nobody watches), and when it is over.  `op` is LIO_NOP
 * for a list. */
int64_t watch_begins(void);
void watch_cancel(int64_t began, int fd, const uint64_t *serial, int rc);
void watch_submission(int64_t began, int op, const uint64_t *serials, size_t n, int error);

extern PyMethodDef watch_methods[];

#endif
