/* listio FILE wait|nowait LENGTH SECONDS STACK_KIB: prints lists/s.
 *
 * One list of cached reads after another; every result is collected before the list goes out again.
 * wait    lio_listio(LIO_WAIT)
 * nowait  lio_listio(LIO_NOWAIT) with one SIGEV_THREAD notification for the list, which writes an
 *         eventfd that this thread reads */
#include "bench.h"

static int wakeup;

static void completed(union sigval value)
{
    (void)value;
    if (eventfd_write(wakeup, 1) == -1)
        die("eventfd_write");
}

int main(int argc, char *argv[])
{
    if (argc != 6 || (strcmp(argv[2], "wait") != 0 && strcmp(argv[2], "nowait") != 0)) {
        fprintf(stderr, "usage: %s FILE wait|nowait LENGTH SECONDS STACK_KIB\n", argv[0]);
        return EXIT_FAILURE;
    }
    int fd = open_pages(argv[1]);
    bool wait = strcmp(argv[2], "wait") == 0;
    int n = (int)number(argv[3], 1);
    double seconds = duration(argv[4]);
    struct sigevent event = by_thread(completed, NULL, number(argv[5], 0));

    wakeup = eventfd(0, EFD_CLOEXEC);
    struct aiocb **list = calloc((size_t)n, sizeof *list);
    if (wakeup == -1 || list == NULL)
        die("eventfd, calloc");
    struct aiocb *cbs = make_requests(fd, n);
    for (int i = 0; i < n; i++)
        list[i] = &cbs[i];

    unsigned long done = 0;
    double begin = now() + WARM_UP, t;
    while ((t = now()) < begin + seconds) {
        if (t < begin)
            done = 0;
        if (wait) {
            if (lio_listio(LIO_WAIT, list, n, NULL) == -1)
                die("lio_listio");
        } else {
            eventfd_t count;
            if (lio_listio(LIO_NOWAIT, list, n, &event) == -1)
                die("lio_listio");
            if (eventfd_read(wakeup, &count) == -1)
                die("eventfd_read");
        }
        for (int i = 0; i < n; i++)
            collect(list[i]);
        done++;
    }
    printf("%.1f\n", (double)done / (t - begin));
    return EXIT_SUCCESS;
}
