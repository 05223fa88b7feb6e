#ifndef AIO_POSIX_SIGWAITINFO_H
#define AIO_POSIX_SIGWAITINFO_H
#include <stdint.h>

struct caught {
    int signo, code, pid, uid;
    uintptr_t value;
};
void signal_ignore(int signo);
int signal_wait(const int *signals, int n, int64_t nanoseconds, struct caught *out);
#endif
