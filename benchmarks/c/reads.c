/* reads FILE IN_FLIGHT SECONDS [direct]: prints reads/s.
 *
 * Random reads of 4 KiB through glibc's AIO by C alone, which is what awaited reads could reach at
 * best where the page cache is not asked. Lists of at most 16 without a notification, as awaited
 * reads are submitted. Each is submitted again when it is done. A list that is not done is waited
 * for by aio_suspend.
 * direct  with O_DIRECT, spread over 8 descriptors */
#define _GNU_SOURCE
#include "bench.h"

enum { LIST = 16, LANES = 8, OFFSETS = 1 << 14 };

struct list {
    struct aiocb cbs[LIST];
    struct aiocb *members[LIST];
    int n;
};

static off_t offsets[OFFSETS];

static void start(struct list *list)
{
    static unsigned next;
    for (int i = 0; i < list->n; i++)
        list->cbs[i].aio_offset = offsets[next++ % OFFSETS];
    if (lio_listio(LIO_NOWAIT, list->members, list->n, NULL) == -1)
        die("lio_listio");
}

static void finish(struct list *list)
{
    for (int i = list->n - 1; i >= 0; i--) {
        const struct aiocb *cb = &list->cbs[i];
        while (aio_error(cb) == EINPROGRESS)
            aio_suspend(&cb, 1, NULL);
        collect(&list->cbs[i]);
    }
}

int main(int argc, char *argv[])
{
    bool direct = argc == 5 && strcmp(argv[4], "direct") == 0;
    if (argc != 4 && !direct) {
        fprintf(stderr, "usage: reads FILE IN_FLIGHT SECONDS [direct]\n");
        return EXIT_FAILURE;
    }
    int in_flight = (int)number(argv[2], 1), lanes = direct ? LANES : 1, fds[LANES];
    double seconds = duration(argv[3]);
    for (int i = 0; i < lanes; i++)
        if ((fds[i] = open(argv[1], O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0))) == -1)
            die(argv[1]);
    off_t pages = lseek(fds[0], 0, SEEK_END) / PAGE;
    for (int i = 0; i < OFFSETS; i++)
        offsets[i] = random() % pages * PAGE;
    int most = direct ? 4 : LIST, size = in_flight < most ? in_flight : most;
    int n = (in_flight + size - 1) / size;
    struct list *lists = calloc((size_t)n, sizeof *lists);
    char *memory = aligned_alloc(PAGE, (size_t)n * LIST * PAGE);
    if (lists == NULL || memory == NULL)
        die("malloc");
    for (int i = 0; i < n * size; i++) {
        struct list *list = &lists[i / size];
        struct aiocb *cb = &list->cbs[i % size];
        list->members[list->n++] = cb;
        cb->aio_fildes = fds[i % lanes];
        cb->aio_lio_opcode = LIO_READ;
        cb->aio_buf = memory + (size_t)i * PAGE;
        cb->aio_nbytes = PAGE;
        cb->aio_sigevent.sigev_notify = SIGEV_NONE;
    }
    for (int i = 0; i < n; i++)
        start(&lists[i]);
    double begin = now(), end = begin + seconds, at = begin;
    long done = 0;
    for (int i = 0; at < end; i = (i + 1) % n) {
        finish(&lists[i]);
        start(&lists[i]);
        done += size;
        at = now();
    }
    printf("%.0f\n", (double)done / (at - begin));
    return EXIT_SUCCESS;
}
