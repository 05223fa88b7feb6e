/* Many threads at once on the engine, without Python.
 *
 * Each part checks that every request has its result, and that every notification that was owed
 * came exactly once: also those which glibc could not send, because the thread for them (a stack
 * of 2^46 bytes) cannot be made.
 */
#include "host.h"
#include "engine/cancel.h"
#include "engine/list.h"

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
#define assert(fact) \
    ((fact) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact), abort()))

enum { HELPERS = 4, THREADS = 4, JOBS = 16, ROUNDS = 100, NBYTES = 64, LONG = 2500, LISTS = 3,
       LOST = 300 };
static const size_t IMPOSSIBLE = (size_t)1 << 46;
static const char zeros[NBYTES];

struct job {
    struct request *request;
    struct plan *plan;
    struct count count;
    char buf[NBYTES];
};

static struct queue *queue;
static struct plan *calling, *queueing, *none, *calling_lost, *queueing_lost;
static atomic_bool finished;

static void await(struct job *j)
{
    while (atomic_load(&j->count.came) < atomic_load(&j->count.expected))
        usleep(100);
    assert(atomic_load(&j->count.came) == atomic_load(&j->count.expected));
}

static void *collect(void *unused)
{
    struct queued *batch[64];
    (void)unused;
    while (!atomic_load(&finished)) {
        int n = queue_take(queue, batch, 64);
        assert(n >= 0);
        for (int i = 0; i < n; i++)
            came((struct notice *)batch[i]);
        if (n == 0)
            queue_wait(queue, 50);
    }
    return NULL;
}

static void prepare(struct job *j, struct plan *plan)
{
    memset(j, 0, sizeof *j);
    j->plan = plan;
    j->request = request_new();
}

static struct wanted wanted(struct job *j, int op, int fd, off_t offset)
{
    struct wanted w = { .serial = serial_new(), .buf = j->buf, .nbytes = NBYTES, .offset = offset,
                        .plan = j->plan, .fd = fd, .op = op };
    if (j->plan != none)
        w.promise = promise_of(&j->count);
    return w;
}

static void submit(struct job *j, int op, int fd, off_t offset)
{
    struct wanted w = wanted(j, op, fd, offset);
    assert(request_submit(j->request, &w) == 0);
}

static size_t in_flight(struct request **list, size_t n)
{
    size_t left = 0;
    pthread_mutex_lock(&life);
    for (size_t i = 0; i < n; i++)
        left += !request_over(list[i]);
    pthread_mutex_unlock(&life);
    return left;
}

static int error_of(struct job *j)
{
    ssize_t result = 0;
    void *kept;
    while (in_flight(&j->request, 1))
        list_suspend(&j->request, 1, 100000000);
    assert(state_of(request_return(j->request, &result, &kept)) == COMPLETE);
    assert(state_of(request_return(j->request, &result, &kept)) == RETURNED);
    assert(result < 0 || result == NBYTES);
    return result < 0 ? (int)-result : 0;
}

static void finish(struct job *jobs, int n)
{
    for (int i = 0; i < n; i++)
        request_release(jobs[i].request);
    free(jobs);
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
    finish(jobs, JOBS);
    return NULL;
}

static void *lists(void *unused)
{
    struct job *jobs = calloc(LONG, sizeof *jobs), whole;
    int fds[8];
    (void)unused;
    for (int i = 0; i < 8; i++)
        fds[i] = memfd_create("stress", 0);
    for (int i = 0; i < LONG; i++)
        prepare(&jobs[i], i % 100 ? none : calling);
    prepare(&whole, queueing);
    for (int round = 0; round < LISTS; round++) {
        struct listing *l = listing_new(LONG, sizeof(struct wanted));
        struct wanted of_all = { .plan = queueing, .promise = promise_of(&whole.count) };
        for (int i = 0; i < LONG; i++) {
            l->requests[i] = jobs[i].request;
            request_hold(jobs[i].request);
            l->wanted[i] = wanted(&jobs[i], LIO_WRITE, fds[i % 8], i * NBYTES);
        }
        l->n = LONG;
        assert(list_submit(l, false, &of_all) == 0);
        await(&whole);
        assert(in_flight(l->requests, LONG) == 0);
        listing_release(l);
        for (int i = 0; i < LONG; i++) {
            assert(error_of(&jobs[i]) == 0);
            await(&jobs[i]);
        }
    }
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    request_release(whole.request);
    finish(jobs, LONG);
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
    finish(jobs, LOST);
    return NULL;
}

struct victims { int fd; struct job jobs[JOBS]; };

static void *cancel(void *argument)
{
    struct victims *v = argument;
    for (int i = 0; i < JOBS; i += 3)
        assert(request_cancel(v->fd, v->jobs[i].request) >= 0);
    return NULL;
}

/* All helpers are blocked, so that every victim is cancelled before it has begun, the head of the
 * queue first. */
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
    struct wanted again = wanted(&blockers[0], LIO_READ, pipes[0][0], 0);
    assert(request_submit(blockers[0].request, &again) == EINPROGRESS);
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
    for (int i = 0; i < JOBS; i++)
        request_release(v->jobs[i].request);
    finish(blockers, HELPERS);
    free(v);
}

static void abandon(void)
{
    struct job *jobs = calloc(JOBS, sizeof *jobs);
    int pipes[2], something;
    assert(pipe(pipes) == 0);
    for (int i = 0; i < JOBS; i++) {
        prepare(&jobs[i], none);
        struct wanted w = wanted(&jobs[i], LIO_READ, pipes[0], 0);
        w.kept = &something;
        assert(request_submit(jobs[i].request, &w) == 0);
        assert(request_abandon(jobs[i].request));
        pthread_mutex_lock(&life);
        assert(sweeper_needed() == 0);
        pthread_mutex_unlock(&life);
    }
    for (int i = 0; i < JOBS; i++)
        assert(write(pipes[1], zeros, NBYTES) == NBYTES);
    while (reaped() < JOBS)
        usleep(1000);
    close(pipes[0]);
    close(pipes[1]);
    finish(jobs, JOBS);
}

/* What arrives while a queue is closed is released: every notice is handed out once. */
static void close_a_queue_that_is_pushed_to(void)
{
    struct queue *q = queue_new();
    struct plan *plan = plan_new(SIGEV_THREAD, 0, 0, 0, q, 0);
    struct job *jobs = calloc(LOST, sizeof *jobs);
    struct queued *batch[32];
    int fd = memfd_create("stress", 0), n = 0;
    for (int i = 0; i < LOST; i++) {
        prepare(&jobs[i], plan);
        submit(&jobs[i], LIO_WRITE, fd, i * NBYTES);
    }
    while (n == 0 && (n = queue_take(q, batch, 32)) == 0)
        queue_wait(q, 50);
    for (int i = 0; i < n; i++)
        came((struct notice *)batch[i]);
    queue_close(q);
    queue_free(q);
    plan_release(plan);
    for (int i = 0; i < LOST; i++) {
        assert(error_of(&jobs[i]) == 0);
        await(&jobs[i]);
    }
    close(fd);
    finish(jobs, LOST);
}

/* Valgrind sees whether glibc still looks at the attributes of the thread that it made. */
static void free_plans_as_soon_as_they_are_used(void)
{
    int fd = memfd_create("stress", 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct job j;
        prepare(&j, plan_new(SIGEV_THREAD, 0, 0, 0, NULL, 0));
        submit(&j, LIO_WRITE, fd, 0);
        plan_release(j.plan);
        while (atomic_load(&j.count.came) == 0)
            sched_yield();   /* valgrind runs one thread at a time */
        assert(error_of(&j) == 0);
        request_release(j.request);
    }
    close(fd);
}

/* The last owner goes while the notification is on its way: the notice holds the request. */
static void drop_requests_before_their_notifications(void)
{
    int fd = memfd_create("stress", 0);
    struct job *jobs = calloc(LOST, sizeof *jobs);
    for (int i = 0; i < LOST; i++) {
        prepare(&jobs[i], i % 2 ? calling_lost : calling);
        submit(&jobs[i], LIO_WRITE, fd, 0);
        request_abandon(jobs[i].request);
        request_release(jobs[i].request);
    }
    for (int i = 0; i < LOST; i++)
        await(&jobs[i]);
    close(fd);
    free(jobs);
}

int main(void)
{
    pthread_t workers[THREADS + 2], collector;
    assert(process_start() == 0);
    pool_init(HELPERS, 64, 1);
    queue = queue_new();
    calling = plan_new(SIGEV_THREAD, 0, 0, 0, NULL, 0);
    queueing = plan_new(SIGEV_THREAD, 0, 0, 0, queue, 0);
    calling_lost = plan_new(SIGEV_THREAD, 0, 0, 0, NULL, IMPOSSIBLE);
    queueing_lost = plan_new(SIGEV_THREAD, 0, 0, 0, queue, IMPOSSIBLE);
    none = plan_new(SIGEV_NONE, 0, 0, 0, NULL, 0);
    assert(pthread_create(&collector, NULL, collect, NULL) == 0);
    for (int i = 0; i < THREADS + 2; i++)
        assert(pthread_create(&workers[i], NULL, i < THREADS ? write_and_read
                              : i == THREADS ? lists : lose, NULL) == 0);
    for (int i = 0; i < THREADS + 2; i++)
        pthread_join(workers[i], NULL);
    cancel_under_a_full_pool();
    abandon();
    close_a_queue_that_is_pushed_to();
    free_plans_as_soon_as_they_are_used();
    drop_requests_before_their_notifications();
    atomic_store(&finished, true);
    pthread_join(collector, NULL);
    assert(notices_open() == 0);
    printf("%lu requests\n", (unsigned long)serial_new());
    return 0;
}
