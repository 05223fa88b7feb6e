/* Lines of jobs and the loops that collect them, from many threads at once, without Python.
 *
 * Each job is begun once, whoever comes first.  What a loop collects, what is left of a closed loop
 * and what nobody put add up to all of them.  A bell that is closed with its loop is not rung.
 */
#include "engine/jobs.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS = 3, THREADS = 3, ROUNDS = 60, JOBS = 50 };

struct counted {
    struct job job;
    atomic_int times;
};

static struct jobs line;
static atomic_bool finished;
static atomic_long done, collected, orphaned;

/* Instead of glibc's: who rings a bell may take a while, and the bell is there until then. */
int eventfd_write(int fd, eventfd_t value)
{
    static atomic_int times;
    if (atomic_fetch_add(&times, 1) % 8 == 0)
        nanosleep(&(struct timespec){ 0, 300000 }, NULL);
    ssize_t n = write(fd, &value, sizeof value);
    assert(n == sizeof value || errno == EAGAIN);
    return n == sizeof value ? 0 : -1;
}

static void perform(struct job *job)
{
    atomic_fetch_add(&((struct counted *)job)->times, 1);
    atomic_fetch_add(&done, 1);
}

static void release(struct job *job)
{
    struct counted *c = (struct counted *)job;
    assert(atomic_load(&c->times) == 1);
    assert(atomic_load(&job->state) == DONE);
    ended_drop(job->ended);
    free(c);
}

static void over(struct job *job)
{
    atomic_store(&job->state, DONE);
    if (!ended_push(job)) {
        atomic_fetch_add(&orphaned, 1);
        release(job);
    }
}

static void *work(void *unused)
{
    (void)unused;
    while (!atomic_load(&finished)) {
        struct job *job = jobs_take(&line, 0.02);
        if (job == NULL)
            continue;
        job->perform(job);
        over(job);
    }
    return NULL;
}

static void collect(struct job *job)
{
    while (job != NULL) {
        struct job *next = job->next;
        atomic_fetch_add(&collected, 1);
        release(job);
        job = next;
    }
}

static void turn(struct ended *ended, struct bell *bell)
{
    collect(ended_collect(ended));
    if (atomic_load(&ended->out) == 0 || !ended_sleep(ended))
        return;
    struct pollfd ready = { .fd = bell->fd, .events = POLLIN };
    assert(poll(&ready, 1, 20000) == 1);    /* or a wake-up was lost */
    bell_hush(bell);
    collect(ended_collect(ended));
}

/* Every third loop closes with jobs that are on their way. */
static void *loop(void *number)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct bell *bell = bell_new();
        struct ended *ended = ended_new(bell);
        for (int i = 0; i < JOBS; i++) {
            struct counted *c = calloc(1, sizeof *c);
            bool idle;
            c->job.perform = perform;
            c->job.ended = ended;
            atomic_fetch_add(&ended->users, 1);
            bool ours = i % 7 == 0 && job_claim(&c->job) == NEW;
            if (!ours) {
                assert(jobs_put(&line, &c->job, &idle));
                /* nobody collects it meanwhile: this loop does */
                ours = i % 5 == 0 && job_claim(&c->job) == QUEUED;
            }
            if (ours) {
                perform(&c->job);
                over(&c->job);
            }
            if (i % 10 == 0)
                ended_wake(ended);
            if (i % 10 == 9)
                turn(ended, bell);
        }
        bool leaves = round % 3 == *(int *)number;
        while (!leaves && atomic_load(&ended->out) > 0)
            turn(ended, bell);
        collect(ended_close(ended));
        assert(ended_close(ended) == NULL);
        ended_drop(ended);
        bell_drop(bell);
    }
    return NULL;
}

int main(void)
{
    pthread_t loops[LOOPS], threads[THREADS];
    int numbers[LOOPS];
    jobs_init(&line);
    for (int i = 0; i < THREADS; i++)
        assert(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < LOOPS; i++) {
        numbers[i] = i;
        assert(pthread_create(&loops[i], NULL, loop, &numbers[i]) == 0);
    }
    for (int i = 0; i < LOOPS; i++)
        pthread_join(loops[i], NULL);
    long all = (long)LOOPS * ROUNDS * JOBS;
    for (int i = 0; i < 2000 && atomic_load(&collected) + atomic_load(&orphaned) < all; i++)
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    atomic_store(&finished, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert(atomic_load(&done) == all);
    assert(atomic_load(&collected) + atomic_load(&orphaned) == all);
    assert(line.first == NULL && line.queued == 0 && line.idle == 0);
    printf("%ld collected, %ld orphaned\n", collected, orphaned);
    return 0;
}
