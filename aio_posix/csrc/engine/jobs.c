#include "jobs.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SPIN = 30000, RETRY = 16 };     /* nanoseconds; after spinning in vain every RETRY'th time */

static bool several_processors(void)
{
    static _Atomic int many;           /* 0: not known yet */
    int known = atomic_load_explicit(&many, memory_order_relaxed);
    if (known == 0) {
        cpu_set_t mine;
        known = sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) == 1 ? 1 : 2;
        atomic_store(&many, known);
    }
    return known > 1;
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void jobs_init(struct jobs *line)
{
    pthread_condattr_t monotonic;
    *line = (struct jobs){ .first = NULL };
    pthread_mutex_init(&line->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&line->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Whether it waits in the line now; no, when somebody has claimed it before.  `free` says whether
 * an idle thread will take it. */
bool jobs_put(struct jobs *line, struct job *job, bool *free)
{
    int expected = NEW;
    pthread_mutex_lock(&line->mutex);
    bool taken = atomic_compare_exchange_strong(&job->state, &expected, QUEUED);
    if (taken) {
        if (job->ended != NULL)
            atomic_fetch_add(&job->ended->out, 1);
        job->line = line;
        job->next = NULL;
        if (line->last != NULL)
            line->last->next = job;
        else
            line->first = job;
        line->last = job;
        if (atomic_fetch_add(&line->queued, 1) == 0 && !line->spinning)
            pthread_cond_signal(&line->more);
    }
    *free = line->queued <= line->idle;
    pthread_mutex_unlock(&line->mutex);
    return taken;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Another job often comes before a thread could be woken for it.  Under the mutex, which is not
 * held meanwhile. */
static void spin(struct jobs *line)
{
    if (line->first != NULL || line->spinning || !several_processors()
        || line->in_vain++ % RETRY != 0)
        return;
    line->spinning = true;
    pthread_mutex_unlock(&line->mutex);
    for (int64_t end = now() + SPIN; atomic_load(&line->queued) == 0 && now() < end;)
        pause_briefly();
    pthread_mutex_lock(&line->mutex);
    line->spinning = false;
    if (line->first != NULL)
        line->in_vain = 0;
}

/* Waits so long for a job, and begins it; NULL if none came. */
struct job *jobs_take(struct jobs *line, double seconds)
{
    int64_t end = now() + (int64_t)(seconds * 1e9);
    struct timespec until = { end / 1000000000, end % 1000000000 };
    pthread_mutex_lock(&line->mutex);
    line->idle++;
    spin(line);
    while (line->first == NULL
           && pthread_cond_timedwait(&line->more, &line->mutex, &until) != ETIMEDOUT) {
    }
    line->idle--;
    struct job *job = line->first;
    if (job != NULL) {
        line->first = job->next;
        if (line->first == NULL)
            line->last = NULL;
        line->queued--;
        line->begun++;
        atomic_store(&job->state, BEGUN);
        if (line->first != NULL && line->idle > 0)
            pthread_cond_signal(&line->more);
    }
    pthread_mutex_unlock(&line->mutex);
    return job;
}

/* Takes a job out of its line. */
static bool withdraw(struct jobs *line, struct job *job)
{
    struct job *before = NULL, *each = line->first;
    while (each != NULL && each != job) {
        before = each;
        each = each->next;
    }
    if (each == NULL)
        return false;
    if (before != NULL)
        before->next = job->next;
    else
        line->first = job->next;
    if (line->last == job)
        line->last = before;
    line->queued--;
    return true;
}

/* Begins it for the caller, who has to do it; NEW or QUEUED is what it was.  -1 if it was begun. */
int job_claim(struct job *job)
{
    int state = NEW;
    if (atomic_compare_exchange_strong(&job->state, &state, BEGUN)) {
        atomic_fetch_add(&job->ended->out, 1);
        return NEW;
    }
    if (state != QUEUED)
        return -1;
    struct jobs *line = job->line;
    pthread_mutex_lock(&line->mutex);
    bool found = atomic_load(&job->state) == QUEUED && withdraw(line, job);
    if (found)
        atomic_store(&job->state, BEGUN);
    pthread_mutex_unlock(&line->mutex);
    return found ? QUEUED : -1;
}

static struct job closed;   /* stands in `latest` when nobody will collect any more */

struct ended *ended_new(struct bell *bell)
{
    struct ended *ended = malloc(sizeof *ended);
    if (ended == NULL)
        return NULL;
    atomic_init(&ended->latest, NULL);
    atomic_init(&ended->asleep, true);
    atomic_init(&ended->out, 0);
    atomic_init(&ended->pushing, 0);
    atomic_init(&ended->users, 1);
    atomic_fetch_add(&bell->users, 1);
    ended->bell = bell;
    ended->born = getpid();
    return ended;
}

void ended_drop(struct ended *ended)
{
    if (atomic_fetch_sub(&ended->users, 1) == 1)
        free(ended);
}

/* Whether somebody will collect it.  Who does may free it at once. */
bool ended_push(struct job *job)
{
    struct ended *ended = job->ended;
    atomic_fetch_add(&ended->users, 1);
    atomic_fetch_add(&ended->pushing, 1);
    struct job *latest = atomic_load(&ended->latest);
    do
        job->next = latest;
    while (latest != &closed && !atomic_compare_exchange_weak(&ended->latest, &latest, job));
    if (latest != &closed && atomic_exchange(&ended->asleep, false))
        bell_ring(ended->bell);
    atomic_fetch_sub(&ended->pushing, 1);
    ended_drop(ended);
    return latest != &closed;
}

/* What was collected and not taken.  Whether somebody will collect it. */
bool ended_push_again(struct job *job)
{
    atomic_fetch_add(&job->ended->out, 1);
    return ended_push(job);
}

/* Those of a stack, in the order in which they were put there. */
static struct job *turned(struct ended *ended, struct job *stack)
{
    struct job *first = NULL;
    while (stack != NULL) {
        struct job *next = stack->next;
        stack->next = first;
        first = stack;
        stack = next;
        atomic_fetch_sub(&ended->out, 1);
    }
    return first;
}

/* Those done since the last time, in the order in which they ended. */
struct job *ended_collect(struct ended *ended)
{
    struct job *latest = atomic_load(&ended->latest);
    while (latest != NULL && latest != &closed
           && !atomic_compare_exchange_weak(&ended->latest, &latest, NULL)) {
    }
    return latest == &closed ? NULL : turned(ended, latest);
}

/* The same for the last time.  From here on the bell is not used. */
struct job *ended_close(struct ended *ended)
{
    struct job *latest = atomic_exchange(&ended->latest, &closed);
    if (latest == &closed)
        return NULL;
    while (atomic_load(&ended->pushing) > 0 && getpid() == ended->born)
        sched_yield();   /* in a forked child nobody would ever have pushed */
    bell_drop(ended->bell);
    return turned(ended, latest);
}

/* The loop will look by itself. */
void ended_wake(struct ended *ended)
{
    atomic_store(&ended->asleep, false);
}

/* From here on the bell rings; false if something has ended meanwhile, and it will not. */
bool ended_sleep(struct ended *ended)
{
    atomic_store(&ended->asleep, true);
    return atomic_load(&ended->latest) == NULL || !atomic_exchange(&ended->asleep, false);
}
