/* All that runs in threads which Python did not start, which are glibc's notification threads and
 * our sweeper.
 *
 * - Every SIGEV_THREAD notification enters by notified(), claims its notice and delivers it to a
 *   queue, or through the host to a callable.  It waits for nothing else but `life` and the host.
 * - If that thread was never made (glibc does not notice when pthread_create fails) the sweeper
 *   delivers instead.  Two sweeps must find the notice over and unclaimed.  That is only courtesy
 *   to a thread that is late, because the claim decides.
 * - The sweeper also notices the end of unattended requests and releases what closed queues
 *   discard. It is the only one of these threads that may run destructors of the host's.
 */
#ifndef AIO_POSIX_SWEEPER_H
#define AIO_POSIX_SWEEPER_H
#include "notice.h"

void notified(union sigval ticket);
int sweeper_needed(void);   /* under life, before something is owed; 0 or an errno */

#endif
