/* The way from a thread that Python did not start into Python, and its closing at exit.
 *
 * - No Python object is touched before the GIL is held.  A thread goes in with the baton, so few
 *   of them wait for the GIL at a time.  Where there is no GIL, callbacks run beside each other.
 * - Closing the gate waits for those that are on the way in.  Nobody goes in later.
 * - Making a thread state takes a lock of the interpreter without the GIL, and Python (3.11 does)
 *   waits for that lock in the child of a fork, where its holder is not.  So nobody makes one
 *   during a fork (`birth`).
 */
#ifndef AIO_POSIX_GATE_H
#define AIO_POSIX_GATE_H
#include "python.h"

int gate_start(void);            /* once, before there are requests */
void gate_fork_begins(void);
void gate_fork_ended(void);
int gate_inside(void);           /* how many threads are in Python through it */
void gate_close(void);           /* those inside go on */

#endif
