/* window FILE IN_FLIGHT SECONDS: prints completions/s.
 *
 * A window of cached reads that is kept full with the four plain calls: aio_suspend waits for any,
 * aio_error finds the finished ones, aio_return collects them and aio_read submits them again. */
#include "bench.h"

int main(int argc, char *argv[])
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s FILE IN_FLIGHT SECONDS\n", argv[0]);
        return EXIT_FAILURE;
    }
    int fd = open_pages(argv[1]);
    int n = (int)number(argv[2], 1);
    double seconds = duration(argv[3]);

    const struct aiocb **list = calloc((size_t)n, sizeof *list);
    if (list == NULL)
        die("calloc");
    struct aiocb *cbs = make_requests(fd, n);
    for (int i = 0; i < n; i++) {
        list[i] = &cbs[i];
        submit(&cbs[i]);
    }

    unsigned long done = 0;
    double begin = now() + WARM_UP, t;
    while ((t = now()) < begin + seconds) {
        if (t < begin)
            done = 0;
        if (aio_suspend(list, n, NULL) == -1)
            die("aio_suspend");
        for (int i = 0; i < n; i++) {
            if (aio_error(&cbs[i]) == EINPROGRESS)
                continue;
            collect(&cbs[i]);
            done++;
            submit(&cbs[i]);
        }
    }
    printf("%.1f\n", (double)done / (t - begin));
    return EXIT_SUCCESS;
}
