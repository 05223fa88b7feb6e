/* What Python's signal module lacks.  sigwaitinfo has si_value here, and a signal that may
 * arrive at any moment can be ignored. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

int signal_wait(const int *signals, int n, int64_t nanoseconds, struct caught *out)
{
    sigset_t set;
    siginfo_t info;
    struct timespec timeout = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
    sigemptyset(&set);
    for (int i = 0; i < n; i++)
        if (sigaddset(&set, signals[i]) != 0)
            return errno;
    if (sigtimedwait(&set, &info, &timeout) == -1)
        return errno;
    out->signo = info.si_signo;
    out->code = info.si_code;
    out->pid = info.si_pid;
    out->uid = (int)info.si_uid;
    out->value = (uintptr_t)info.si_value.sival_ptr;
    return 0;
}

/* Python does not know of it.  When Python changes the handler next, no signal can arrive between
 * its look at pending signals and the change. */
void signal_ignore(int signo)
{
    signal(signo, SIG_IGN);
}
