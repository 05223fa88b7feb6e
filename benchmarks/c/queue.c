/* queue FILE IN_FLIGHT SECONDS STACK_KIB: prints completions/s.
 *
 * What aio_posix.CompletionQueue does, by hand: the notification thread pushes the request on a
 * lock-free list and wakes the one thread that takes the whole list, collects and submits again.
 *
 * - Only a push on an empty list writes the eventfd: the reader that was woken takes the rest too.
 * - The reader takes the list by one exchange, so there is no ABA; it reverses it, oldest first. */
#include "bench.h"

struct request {
    struct aiocb *cb;
    struct request *next;
};

static _Atomic(struct request *) finished;
static int wakeup;

static void completed(union sigval value)
{
    struct request *request = value.sival_ptr;
    struct request *head = atomic_load(&finished);
    do
        request->next = head;
    while (!atomic_compare_exchange_weak(&finished, &head, request));
    if (head == NULL && eventfd_write(wakeup, 1) == -1)
        die("eventfd_write");
}

static struct request *take(void)
{
    struct request *head;
    while ((head = atomic_exchange(&finished, NULL)) == NULL) {
        eventfd_t count;
        if (eventfd_read(wakeup, &count) == -1)
            die("eventfd_read");
    }
    struct request *oldest = NULL;
    while (head != NULL) {
        struct request *next = head->next;
        head->next = oldest;
        oldest = head;
        head = next;
    }
    return oldest;
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

    wakeup = eventfd(0, EFD_CLOEXEC);
    struct request *requests = calloc((size_t)n, sizeof *requests);
    if (wakeup == -1 || requests == NULL)
        die("eventfd, calloc");
    struct aiocb *cbs = make_requests(fd, n);
    for (long i = 0; i < n; i++) {
        requests[i].cb = &cbs[i];
        cbs[i].aio_sigevent = by_thread(completed, &requests[i], stack_kib);
        submit(&cbs[i]);
    }

    unsigned long done = 0;
    double begin = now() + WARM_UP, end = begin;
    for (long in_flight = n; in_flight > 0;) {
        double t = now();
        if (t < begin)
            done = 0;
        bool again = t < begin + seconds;
        for (struct request *r = take(), *next; r != NULL; r = next) {
            next = r->next; /* the request may come back before submit() returns */
            collect(r->cb);
            done++;
            if (again)
                submit(r->cb);
            else
                in_flight--;
        }
        end = now();
    }
    printf("%.1f\n", (double)done / (end - begin));
    return EXIT_SUCCESS;
}
