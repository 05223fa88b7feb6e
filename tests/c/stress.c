/* Many threads at once on the C that runs in glibc's threads: a small flight.py, in C.
 *
 * Each part checks that every request has its result, and that every notification that was owed came exactly once:
 * also those which glibc could not send, because the thread for them (a stack of 2^46 bytes) cannot be made.
 */
#include "gate.h"
#include "notify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#undef assert   /* whatever NDEBUG says */
#define assert(fact) ((fact) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact), abort()))

enum { HELPERS = 4, THREADS = 4, JOBS = 16, ROUNDS = 100, NBYTES = 64, LONG = 2500, LISTS = 3, LOST = 300 };
static const size_t IMPOSSIBLE = (size_t)1 << 46;
static const char zeros[NBYTES];

struct job {
    struct request request;
    struct plan *plan;
    uint32_t notice;
    uint64_t serial;
    long expected;                  /* notifications up to now */
    char buf[NBYTES];
};

static _Atomic uint64_t serials = 1;
static _Atomic uint32_t next_notice;
static _Atomic long taken[MOST_NOTICES];
static struct queue *queue;
static struct plan *calling, *queueing, *none, *calling_lost, *queueing_lost;
static atomic_bool finished;

static uint32_t new_notice(void)
{
    static pthread_mutex_t grow = PTHREAD_MUTEX_INITIALIZER;
    static uint32_t made;
    uint32_t notice = atomic_fetch_add(&next_notice, 1);
    pthread_mutex_lock(&grow);
    while (notice >= made) {
        assert(notices_grow() == made);
        made += CHUNK;
    }
    pthread_mutex_unlock(&grow);
    assert(notice < MOST_NOTICES);
    return notice;
}

static void await(const struct job *j)
{
    while (times_called(j->notice) + atomic_load(&taken[j->notice]) < j->expected)
        usleep(100);
    assert(times_called(j->notice) + atomic_load(&taken[j->notice]) == j->expected);
}

static void *collect(void *unused)
{
    uint32_t batch[64];
    (void)unused;
    while (!atomic_load(&finished)) {
        int n = queue_take(queue, batch, 64);
        assert(n >= 0);
        for (int i = 0; i < n; i++)
            atomic_fetch_add(&taken[batch[i]], 1);
        if (n == 0)
            queue_wait(queue, 50);
    }
    return NULL;
}

static void prepare(struct job *j, struct plan *plan)
{
    memset(j, 0, sizeof *j);
    j->plan = plan;
    j->notice = new_notice();
}

static uint32_t promise(struct job *j)
{
    j->serial = atomic_fetch_add(&serials, 1);
    j->expected += j->plan != none;
    return j->plan == none ? NO_NOTICE : j->notice;
}

static void submit(struct job *j, int op, int fd, off_t offset)
{
    uint32_t notice = promise(j);
    uint64_t serial = j->serial;
    struct wanted w = { serial, 0, j->buf, NBYTES, offset, j->plan, notice, fd, op, 0 };
    assert(request_submit(&j->request, &w) == 0);
}

static int error_of(struct job *j)
{
    struct request *list[] = { &j->request };
    while (list_poll(list, 1))
        list_suspend(list, 1, 100000000);
    assert((request_return(&j->request) & STATE_MASK) == COMPLETE);
    assert((request_return(&j->request) & STATE_MASK) == (COMPLETE | RETURNED));
    assert(j->request.error != 0 || request_result(&j->request) == NBYTES);
    return j->request.error;
}

static void *write_and_read(void *unused)
{
    struct plan *plans[] = { calling, queueing, none };
    struct job *jobs = calloc(JOBS, sizeof *jobs);
    int fds[2] = { memfd_create("stress", 0), memfd_create("stress", 0) };
    (void)unused;
    for (int i = 0; i < JOBS; i++)
        prepare(&jobs[i], plans[i % 3]);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < JOBS; i++) {
            memset(jobs[i].buf, round + i, NBYTES);
            submit(&jobs[i], LIO_WRITE, fds[i % 2], i * NBYTES);
        }
        for (int i = JOBS - 1; i >= 0; i--) {
            assert(error_of(&jobs[i]) == 0);
            await(&jobs[i]);
            memset(jobs[i].buf, 0, NBYTES);
            submit(&jobs[i], LIO_READ, fds[i % 2], i * NBYTES);
        }
        for (int i = 0; i < JOBS; i++) {
            assert(error_of(&jobs[i]) == 0);
            assert(jobs[i].buf[NBYTES - 1] == (char)(round + i));
            await(&jobs[i]);
        }
    }
    close(fds[0]);
    close(fds[1]);
    free(jobs);
    return NULL;
}

static void *lists(void *unused)
{
    struct job *jobs = calloc(LONG, sizeof *jobs), whole;
    struct request **list = calloc(LONG, sizeof *list);
    struct wanted *wanted = calloc(LONG, sizeof *wanted);
    int fds[8];
    (void)unused;
    for (int i = 0; i < 8; i++)
        fds[i] = memfd_create("stress", 0);
    for (int i = 0; i < LONG; i++) {
        prepare(&jobs[i], i % 100 ? none : calling);
        list[i] = &jobs[i].request;
    }
    prepare(&whole, queueing);
    for (int round = 0; round < LISTS; round++) {
        for (int i = 0; i < LONG; i++) {
            uint32_t notice = promise(&jobs[i]);
            wanted[i] = (struct wanted){ jobs[i].serial, 0, jobs[i].buf, NBYTES, i * NBYTES, jobs[i].plan, notice,
                                         fds[i % 8], LIO_WRITE, 0 };
        }
        uint32_t notice = promise(&whole);
        assert(list_submit(list, wanted, LONG, PIECE, whole.serial, queueing, notice) == 0);
        await(&whole);
        assert(list_poll(list, LONG) == 0);
        for (int i = 0; i < LONG; i++) {
            assert(error_of(&jobs[i]) == 0);
            await(&jobs[i]);
        }
    }
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    free(wanted);
    free(list);
    free(jobs);
    return NULL;
}

static void *lose(void *unused)
{
    struct job *jobs = calloc(LOST, sizeof *jobs);
    int fd = memfd_create("stress", 0);
    (void)unused;
    for (int i = 0; i < LOST; i++) {
        prepare(&jobs[i], i % 3 == 0 ? calling_lost : i % 3 == 1 ? queueing_lost : calling);
        submit(&jobs[i], LIO_WRITE, fd, i * NBYTES);
    }
    for (int i = 0; i < LOST; i++) {
        await(&jobs[i]);
        assert(error_of(&jobs[i]) == 0);
    }
    close(fd);
    free(jobs);
    return NULL;
}

struct victims { int fd; struct job jobs[JOBS]; };

static void *cancel(void *argument)
{
    struct victims *v = argument;
    for (int i = 0; i < JOBS; i += 3)
        assert(request_cancel(v->fd, &v->jobs[i].request) >= 0);
    return NULL;
}

/* All helpers are blocked, so that every victim is cancelled before it has begun, the head of the queue first. */
static void cancel_under_a_full_pool(void)
{
    struct victims *v = calloc(1, sizeof *v);
    struct job *blockers = calloc(HELPERS, sizeof *blockers);
    int pipes[HELPERS][2], cancelled = 0;
    pthread_t threads[2];
    v->fd = memfd_create("stress", 0);
    for (int i = 0; i < HELPERS; i++) {
        assert(pipe(pipes[i]) == 0);
        prepare(&blockers[i], none);
        submit(&blockers[i], LIO_READ, pipes[i][0], 0);
    }
    usleep(50000);
    struct wanted again = { .op = LIO_READ, .plan = none, .notice = NO_NOTICE };
    assert(request_submit(&blockers[0].request, &again) == EINPROGRESS);
    for (int i = 0; i < JOBS; i++) {
        prepare(&v->jobs[i], i % 2 ? calling : queueing);
        submit(&v->jobs[i], LIO_WRITE, v->fd, i * NBYTES);
    }
    for (int i = 0; i < 2; i++)
        assert(pthread_create(&threads[i], NULL, cancel, v) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < HELPERS; i++)
        assert(write(pipes[i][1], zeros, NBYTES) == NBYTES);
    for (int i = 0; i < HELPERS; i++) {
        assert(error_of(&blockers[i]) == 0);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    for (int i = 0; i < JOBS; i++) {
        int error = error_of(&v->jobs[i]);
        assert(error == (i % 3 == 0 ? ECANCELED : 0));
        cancelled += error == ECANCELED;
        await(&v->jobs[i]);
    }
    assert(cancelled == (JOBS + 2) / 3);
    close(v->fd);
    free(blockers);
    free(v);
}

static void abandon(void)
{
    struct job *jobs = calloc(JOBS, sizeof *jobs);
    int pipes[2];
    assert(pipe(pipes) == 0);
    for (int i = 0; i < JOBS; i++) {
        prepare(&jobs[i], none);
        submit(&jobs[i], LIO_READ, pipes[0], 0);
        request_abandon(&jobs[i].request);
    }
    for (int i = 0; i < JOBS; i++)
        assert(write(pipes[1], zeros, NBYTES) == NBYTES);
    while (orphans_reaped() < JOBS)
        usleep(1000);
    close(pipes[0]);
    close(pipes[1]);
    free(jobs);
}

/* What arrives while a queue is closed is let go: every notice is either taken or called, once. */
static void close_a_queue_that_is_pushed_to(void)
{
    struct queue *q = queue_new();
    struct plan *plan = plan_new(SIGEV_THREAD, 0, 0, 0, q, 0);
    struct job *jobs = calloc(LOST, sizeof *jobs);
    uint32_t batch[32];
    int fd = memfd_create("stress", 0), n = 0;
    for (int i = 0; i < LOST; i++) {
        prepare(&jobs[i], plan);
        submit(&jobs[i], LIO_WRITE, fd, i * NBYTES);
    }
    while (n == 0 && (n = queue_take(q, batch, 32)) == 0)
        queue_wait(q, 50);
    for (int i = 0; i < n; i++)
        atomic_fetch_add(&taken[batch[i]], 1);
    queue_close(q);
    queue_free(q);
    for (int i = 0; i < LOST; i++) {
        assert(error_of(&jobs[i]) == 0);
        await(&jobs[i]);
    }
    plan_free(plan);
    close(fd);
    free(jobs);
}

/* Valgrind sees whether glibc still looks at the attributes of the thread that it made. */
static void free_plans_as_soon_as_they_are_used(void)
{
    int fd = memfd_create("stress", 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct job j;
        prepare(&j, plan_new(SIGEV_THREAD, 0, 0, 0, NULL, 0));
        submit(&j, LIO_WRITE, fd, 0);
        while (times_called(j.notice) == 0)
            sched_yield();   /* valgrind runs one thread at a time */
        plan_free(j.plan);
        assert(error_of(&j) == 0);
        request_fence(&j.request);
    }
    close(fd);
}

int main(void)
{
    pthread_t workers[THREADS + 2], collector;
    pool_init(HELPERS, 64, 1);
    queue = queue_new();
    calling = plan_new(SIGEV_THREAD, 0, 0, 0, NULL, 0);
    queueing = plan_new(SIGEV_THREAD, 0, 0, 0, queue, 0);
    calling_lost = plan_new(SIGEV_THREAD, 0, 0, 0, NULL, IMPOSSIBLE);
    queueing_lost = plan_new(SIGEV_THREAD, 0, 0, 0, queue, IMPOSSIBLE);
    none = plan_new(SIGEV_NONE, 0, 0, 0, NULL, 0);
    assert(pthread_create(&collector, NULL, collect, NULL) == 0);
    for (int i = 0; i < THREADS + 2; i++)
        assert(pthread_create(&workers[i], NULL, i < THREADS ? write_and_read : i == THREADS ? lists : lose, NULL) == 0);
    for (int i = 0; i < THREADS + 2; i++)
        pthread_join(workers[i], NULL);
    cancel_under_a_full_pool();
    abandon();
    close_a_queue_that_is_pushed_to();
    free_plans_as_soon_as_they_are_used();
    atomic_store(&finished, true);
    pthread_join(collector, NULL);
    printf("%u notices, %u requests\n", (unsigned)next_notice, (unsigned)serials);
    return 0;
}
