/* callback FILE IN_FLIGHT SECONDS STACK_KIB: prints completions/s.
 *
 * A SIGEV_THREAD callback that collects its read and submits it again, in glibc's own notification
 * thread. STACK_KIB 0 is what a C program gets that leaves sigev_notify_attributes alone. */
#include "bench.h"

static atomic_ulong completions;
static atomic_long in_flight;
static atomic_bool stop;

static void completed(union sigval value)
{
    struct aiocb *cb = value.sival_ptr;
    collect(cb);
    atomic_fetch_add(&completions, 1);
    if (atomic_load(&stop))
        atomic_fetch_sub(&in_flight, 1);
    else
        submit(cb);
}

int main(int argc, char *argv[])
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s FILE IN_FLIGHT SECONDS STACK_KIB\n", argv[0]);
        return EXIT_FAILURE;
    }
    int fd = open_pages(argv[1]);
    long n = number(argv[2], 1);
    double seconds = duration(argv[3]);
    long stack_kib = number(argv[4], 0);

    struct aiocb *cbs = make_requests(fd, n);
    atomic_store(&in_flight, n);
    for (long i = 0; i < n; i++) {
        cbs[i].aio_sigevent = by_thread(completed, &cbs[i], stack_kib);
        submit(&cbs[i]);
    }
    nap(WARM_UP);
    double begin = now();
    unsigned long before = atomic_load(&completions);
    nap(seconds);
    unsigned long after = atomic_load(&completions);
    double end = now();

    atomic_store(&stop, true);
    while (atomic_load(&in_flight) > 0)
        nap(0.001);
    printf("%.1f\n", (double)(after - before) / (end - begin));
    return EXIT_SUCCESS;
}
