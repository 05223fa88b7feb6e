/* The baton lets one callback run at a time.  Otherwise a callback that releases the GIL
 * briefly (write, print) would compete with all the others to get it back.
 *
 * - A callback may block (the echo server's does, in accept).  So, while a thread waits for the
 *   baton, the sweeper looks every PATIENCE_MS and passes the baton on if the callback that had
 *   it at the last look still has it.
 * - The sweeper does not do that before the callback's thread has the GIL.  Threads that wait for
 *   the GIL wake each other every 5 ms, so the cost of n of them is n^2.  Only one may wait.
 * - When no thread can be made the sweeper has to run a callback itself.  Nobody looks any more
 *   then, so there is no baton from that moment on.
 */
#ifndef AIO_POSIX_BATON_H
#define AIO_POSIX_BATON_H
#include <stdint.h>

enum { PATIENCE_MS = 5 };   /* the interpreter's own switch interval */

void baton_make(void);
void baton_take(void);
uint64_t baton_carry(void);        /* the thread that took it has the GIL now */
void baton_pass(uint64_t mine);
void baton_drop(void);             /* by a thread that did not carry it */
int baton_look(void);              /* by the sweeper, which stops looking at 0 */
void baton_abolish(void);

#endif
