/* From an aiocb of Python to what the engine wants.
 *
 * - Every field is read once, and owned from then on.  Reading may run Python code (a property,
 *   fileno(), __buffer__) that changes other fields, submits, or raises.  The answer counts that
 *   was given when it was asked for, and each exception gets through as it is.
 * - Whether the request is in flight already is decided by the engine, under its lock.
 */
#ifndef AIO_POSIX_DESCRIBE_H
#define AIO_POSIX_DESCRIBE_H
#include "kept.h"

enum described { FAILED = -1, DESCRIBED, NOTHING_TO_DO };

enum { OWN_OPCODE = -1 };   /* as aio_lio_opcode says, where LIO_NOP is NOTHING_TO_DO */

/* Fills w and k.  Call describe_drop() after FAILED, or to drop it. */
enum described describe(PyObject *cb, int op, struct wanted *w, struct kept *k);
int describe_notification(PyObject *sig, PyObject *value, PyObject *cb, struct wanted *w,
                          PyObject **also);
void describe_drop(struct wanted *w);   /* of a submission that did not happen */
int describe_start(void);

#endif
