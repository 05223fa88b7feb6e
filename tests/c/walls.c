/* One protection of csrc/engine/ at a time, step by step: puppet.c is the AIO, this file the host.
 *
 * `walls` prints the names of its walls, `walls NAME` tries one.  Every wall starts in a process of
 * its own.  Where a thread must wait, the test looks for it to go on for a moment; where the
 * protection is missing it does so at once.
 */
#include "puppet.h"
#include "../../aio_posix/csrc/engine/baton.h"
#include "../../aio_posix/csrc/engine/cancel.h"
#include "../../aio_posix/csrc/engine/host.h"
#include "../../aio_posix/csrc/engine/list.h"
#include "../../aio_posix/csrc/engine/sweeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK(fact) ((fact) ? (void)0 : failed(__LINE__, #fact))

static _Noreturn void failed(int line, const char *fact)
{
    fprintf(stderr, "walls.c:%d: %s\n", line, fact);
    _exit(1);
}

/* Whether it becomes true within so many milliseconds. */
#define EVENTUALLY(fact, ms) __extension__({ \
    int left_ = (ms) * 10; \
    while (!(fact) && left_-- > 0) \
        usleep(100); \
    (fact); })
enum { MOMENT = 100, LONG = 5000 };

/* --- the host */

static _Atomic int called, freed, reaped, discarded_seen;
static void *_Atomic last_value;
static atomic_int pushed_at_first_reap = -1;
static struct queue *queue;
static atomic_bool keep_notices;
static struct notice *kept_notice;

void host_call(struct notice *n)
{
    atomic_store(&last_value, n->promise.value);
    kept_notice = n;
    atomic_fetch_add(&called, 1);
    if (!atomic_load(&keep_notices)) {
        notice_free(n);
        atomic_fetch_add(&freed, 1);
    }
}

void host_reap(struct notice *discarded)
{
    int none = -1, n = 0;
    while (request_reap() != NULL)
        n++;
    if (n > 0)
        atomic_compare_exchange_strong(&pushed_at_first_reap, &none,
                                       queue && atomic_load(&queue->newest) != NULL);
    for (struct queued *q = (struct queued *)discarded, *next; q != NULL; q = next) {
        next = q->next;
        notice_free((struct notice *)q);
        atomic_fetch_add(&discarded_seen, 1);
    }
    atomic_fetch_add(&reaped, n);
}

void host_sweeper_starts(void) { }
void host_expects_callbacks(void) { }

/* --- small things */

enum { FD = 5, OTHER = 6 };
static char buf[64];
static int token;   /* something to be kept */

static struct wanted want(int fd, struct plan *plan, void *value)
{
    return (struct wanted){ .serial = serial_new(), .kept = &token, .buf = buf,
                            .nbytes = sizeof buf,
                            .plan = plan, .promise = { NULL, value }, .fd = fd, .op = LIO_READ };
}

static struct plan *callback(void)
{
    return plan_new(SIGEV_THREAD, 0, 0, 0, NULL, 0);
}

static struct request *fly(int fd, struct plan *plan)
{
    struct request *r = request_new();
    struct wanted w = want(fd, plan, NULL);
    CHECK(request_submit(r, &w) == 0);
    return r;
}

static int state(struct request *r)
{
    void *kept;
    ssize_t result;
    return state_of(request_look(r, &result, &kept));
}

struct call { void (*function)(void *); void *argument; atomic_bool done; pthread_t thread; };

static void *run_call(void *argument)
{
    struct call *c = argument;
    c->function(c->argument);
    atomic_store(&c->done, true);
    return NULL;
}

static struct call *in_thread(void (*function)(void *), void *argument)
{
    struct call *c = calloc(1, sizeof *c);
    c->function = function;
    c->argument = argument;
    CHECK(pthread_create(&c->thread, NULL, run_call, c) == 0);
    return c;
}

static bool waits(struct call *c)
{
    return !EVENTUALLY(atomic_load(&c->done), MOMENT);
}

static void end(struct call *c)
{
    CHECK(EVENTUALLY(atomic_load(&c->done), LONG));
    pthread_join(c->thread, NULL);
    free(c);
}

/* --- claims (G4) */

static void a_ticket_delivers_once(void)
{
    fly(FD, callback());
    serve(FD);
    union sigval ticket = pending_ticket(0);
    atomic_store(&keep_notices, true);   /* claimed, and not handed out yet */
    notify_one();
    CHECK(called == 1);
    notified(ticket);
    CHECK(called == 1);
}

static void a_ticket_of_a_former_notice_is_stale(void)
{
    struct plan *plan = callback();
    struct request *r = fly(FD, plan);
    serve(FD);
    union sigval old = pending_ticket(0);
    notify_one();
    CHECK(called == 1 && state(r) == COMPLETE);
    struct wanted again = want(FD, plan, NULL);
    CHECK(request_submit(r, &again) == 0);
    serve(FD);
    CHECK((uint32_t)(uintptr_t)pending_ticket(0).sival_ptr == (uint32_t)(uintptr_t)old.sival_ptr);
    notified(old);
    CHECK(called == 1);
    notify_one();
    CHECK(called == 2);
}

static void a_notification_that_comes_too_early_delivers_nothing(void)
{
    struct request *r = fly(FD, callback());
    notified((union sigval){ .sival_ptr = (void *)((uintptr_t)1 << 32) });
    CHECK(called == 0 && state(r) == IN_FLIGHT);
    serve(FD);
    notify_one();
    CHECK(called == 1);
}

static void a_list_that_is_announced_too_early_waits(void)
{
    struct plan *plan = callback();
    struct listing *l = listing_new(2, sizeof(struct wanted));
    struct wanted whole = { .plan = plan };
    for (l->n = 0; l->n < 2; l->n++) {
        l->requests[l->n] = request_new();
        l->wanted[l->n] = want(FD + (int)l->n, NULL, NULL);
    }
    CHECK(list_submit(l, false, &whole) == 0);
    serve(FD);
    notified((union sigval){ .sival_ptr = (void *)((uintptr_t)1 << 32) });
    CHECK(called == 0);
    serve(OTHER);
    CHECK(EVENTUALLY(called == 1, LONG));
}

/* The sweeper reaps in the same sweep, after it has delivered. */
static void the_sweeper_leaves_a_late_thread_one_sweep(void)
{
    struct request *unattended = request_new();
    struct wanted w = want(OTHER, NULL, NULL);
    struct queued *item;
    queue = queue ? queue : queue_new();
    w.unattended = true;
    fly(FD, plan_new(SIGEV_THREAD, 0, 0, 0, queue, 0));
    CHECK(request_submit(unattended, &w) == 0);
    pthread_mutex_lock(&life);   /* one sweep sees both ends, or none */
    serve(FD);
    serve(OTHER);
    lose_all();
    pthread_mutex_unlock(&life);
    CHECK(EVENTUALLY(reaped == 1, LONG));
    CHECK(pushed_at_first_reap == 0);
    CHECK(EVENTUALLY(atomic_load(&queue->newest) != NULL, LONG));
    CHECK(queue_take(queue, &item, 1) == 1);
    notice_free((struct notice *)item);
}

static void the_sweeper_delivers_what_was_lost_and_once(void)
{
    fly(FD, callback());
    serve(FD);
    union sigval ticket = pending_ticket(0);
    lose_all();
    CHECK(EVENTUALLY(called == 1, LONG));
    notified(ticket);
    CHECK(!EVENTUALLY(called > 1, 800));
}

static void what_is_not_over_is_not_lost(void)
{
    fly(FD, callback());
    CHECK(!EVENTUALLY(called > 0, 900));
    serve(FD);
    notify_one();
}

static void a_dozing_sweeper_is_woken_by_a_submission(void)
{
    fly(FD, callback());
    serve(FD);
    notify_one();
    usleep(2500000);   /* ten sweeps with nothing owed */
    fly(FD, callback());
    serve(FD);
    lose_all();
    CHECK(EVENTUALLY(called == 2, LONG));
}

static void each_notice_has_its_own_sweeps(void)
{
    the_sweeper_leaves_a_late_thread_one_sweep();
    reaped = 0;
    pushed_at_first_reap = -1;
    the_sweeper_leaves_a_late_thread_one_sweep();   /* the same notice again */
}

static void the_sweeper_leaves_what_was_claimed(void)
{
    fly(FD, callback());
    fly(OTHER, callback());   /* still owed, so the sweeper looks */
    serve(FD);
    atomic_store(&keep_notices, true);
    notify_one();
    CHECK(notices_owed());
    CHECK(!EVENTUALLY(called > 1, 900));
}

static void what_was_delivered_is_no_longer_owed(void)
{
    fly(FD, callback());
    CHECK(notices_owed());
    serve(FD);
    notify_one();
    CHECK(!notices_owed() && notices_open() == 0);
}

static void what_is_discarded_wakes_the_sweeper(void)
{
    struct queue *q = queue_new();
    fly(FD, plan_new(SIGEV_THREAD, 0, 0, 0, q, 0));
    serve(FD);
    notify_one();
    usleep(2500000);   /* ten sweeps with nothing owed */
    queue_close(q);
    CHECK(EVENTUALLY(discarded_seen == 1, LONG));
}

static void a_notification_thread_is_detached(void)
{
    int state = -1;
    struct plan *plan = callback();
    pthread_attr_getdetachstate(&plan->attr, &state);
    CHECK(state == PTHREAD_CREATE_DETACHED);
}

/* --- submissions */

static void a_request_in_flight_is_refused(void)
{
    struct request *r = fly(FD, NULL);
    struct wanted w = want(FD, NULL, NULL);
    CHECK(request_submit(r, &w) == EINPROGRESS && w.kept == &token);
    CHECK(queued(FD) == 1);
}

static void a_refused_submission_leaves_the_result_before(void)
{
    ssize_t result = 0;
    void *kept;
    struct request *r = fly(FD, NULL);
    serve(FD);
    struct wanted w = want(FD, callback(), NULL);
    w.kept = &buf;
    refuse(EAGAIN, 0);
    CHECK(request_submit(r, &w) == EAGAIN);
    CHECK(w.kept == &buf && w.promise.value == NULL);
    CHECK(state_of(request_return(r, &result, &kept)) == COMPLETE);
    CHECK(result == sizeof buf);
    CHECK(kept == &token || EVENTUALLY(reaped == 1, LONG));   /* the sweeper was faster */
}

static void a_refused_submission_owes_nothing(void)
{
    struct request *r = request_new();
    struct wanted w = want(FD, callback(), NULL);
    refuse(EAGAIN, 0);
    CHECK(request_submit(r, &w) == EAGAIN);
    CHECK(notices_open() == 0 && state(r) == UNSUBMITTED);
    CHECK(!EVENTUALLY(called > 0, 900));
}

static void look_at_it(struct aiocb *cb)
{
    void *kept;
    ssize_t result;
    CHECK(state_of(request_look((struct request *)cb, &result, &kept)) == COMPLETE
          && kept == &token);
}

static void a_refused_submission_is_undone_though_somebody_saw_it(void)
{
    struct request *r = request_new();
    struct wanted w = want(FD, NULL, NULL);
    refuse(EAGAIN, 0);
    on_refusal = look_at_it;
    CHECK(request_submit(r, &w) == EAGAIN);
    CHECK(state(r) == UNSUBMITTED && w.kept == NULL);   /* whoever saw it has released that */
}

static void a_refused_submission_gives_back_what_it_held(void)
{
    struct plan *plan = callback();
    struct request *r = request_new();
    struct wanted w = want(FD, plan, NULL);
    refuse(EAGAIN, 0);
    CHECK(request_submit(r, &w) == EAGAIN);
    CHECK(!plan_in_use(plan) && r->owners == 1);
}

static void a_new_submission_hands_out_what_the_old_one_kept(void)
{
    struct request *r = fly(FD, NULL);
    serve(FD);
    struct wanted w = want(FD, NULL, NULL);
    CHECK(request_submit(r, &w) == 0 && w.unnoticed == &token);
}

static void of_two_who_ask_one_gets_the_result(void)
{
    ssize_t result;
    void *first, *second;
    struct request *r = fly(FD, NULL);
    serve(FD);
    CHECK(state_of(request_return(r, &result, &first)) == COMPLETE && first == &token);
    CHECK(state_of(request_return(r, &result, &second)) == RETURNED && second == NULL);
}

static void a_request_that_somebody_waits_for_is_not_reset(void)
{
    void *kept;
    struct request *r = fly(FD, NULL);
    CHECK(!request_reset(r, &kept));
    serve(FD);
    r->watchers = 1;
    CHECK(!request_reset(r, &kept));
    r->watchers = 0;
    CHECK(request_reset(r, &kept) && kept == &token && state(r) == UNSUBMITTED);
}

static void an_abandoned_request_is_reaped_once(void)
{
    struct request *r = fly(FD, NULL);
    CHECK(request_abandon(r));
    CHECK(request_abandon(r));
    CHECK(!EVENTUALLY(reaped > 0, 600));
    serve(FD);
    CHECK(EVENTUALLY(reaped == 1, LONG));
    CHECK(!EVENTUALLY(reaped > 1, 600));
    pthread_mutex_lock(&life);
    CHECK(requests_settle() == -1);   /* so the sweeper may sleep */
    pthread_mutex_unlock(&life);
}

static void what_somebody_noticed_is_not_reaped(void)
{
    void *kept = NULL;
    ssize_t result;
    int before = 0;
    while (kept == NULL) {
        struct request *r = request_new();
        struct wanted w = want(FD, NULL, NULL);
        before = reaped;
        w.unattended = true;
        CHECK(request_submit(r, &w) == 0);
        serve(FD);
        request_look(r, &result, &kept);
        CHECK(kept == &token || EVENTUALLY(reaped > before, LONG));   /* the sweeper was faster */
    }
    CHECK(!EVENTUALLY(reaped > before, 600));
    pthread_mutex_lock(&life);
    CHECK(requests_settle() == -1);
    pthread_mutex_unlock(&life);
}

static void what_is_in_flight_keeps_what_it_needs(void)
{
    ssize_t result;
    void *kept;
    struct request *r = fly(FD, NULL);
    CHECK(state_of(request_return(r, &result, &kept)) == IN_FLIGHT && kept == NULL);
    serve(FD);
    CHECK(state_of(request_return(r, &result, &kept)) == COMPLETE && kept == &token);
}

static int error_before_glibc_knew;
static void note_error(struct aiocb *cb) { error_before_glibc_knew = cb->__error_code; }

static void a_request_is_in_progress_before_glibc_knows_it(void)
{
    on_submit = note_error;
    fly(FD, NULL);
    CHECK(error_before_glibc_knew == EINPROGRESS);
}

static void look(void *r) { state(r); }

static void a_request_is_over_when_its_helper_is_out(void)
{
    struct request *r = fly(FD, NULL);
    serve(FD);
    hold_glibc();   /* the result is stored, and the helper not done yet */
    struct call *c = in_thread(look, r);
    CHECK(waits(c));
    release_glibc();
    end(c);
}

static void submit_in_a_child(void *error)
{
    struct request *r = request_new();
    struct wanted w = want(FD, NULL, NULL), whole = { .plan = NULL };
    struct listing *l = listing_new(1, sizeof(struct wanted));
    *(int *)error = request_submit(r, &w);
    CHECK(list_submit(l, false, &whole) == -ENOTSUP);
}

static void a_forked_child_is_refused_before_any_lock(void)
{
    int error = 0;
    forked = 1;
    pthread_mutex_lock(&submitting);   /* by threads that are not there */
    pthread_mutex_lock(&life);
    end(in_thread(submit_in_a_child, &error));
    CHECK(error == ENOTSUP);
}

static void a_request_without_a_sigevent_sends_nothing(void)
{
    CHECK(fly(FD, NULL)->cb.aio_sigevent.sigev_notify == SIGEV_NONE);
}

/* --- memory (G11); AddressSanitizer watches */

static void release_it(void *r) { request_release(r); }
static void release_plan(void *p) { plan_release(p); }

static void a_request_waits_for_its_helper_before_it_goes(void)
{
    struct request *r = fly(FD, callback());
    serve(FD);
    hold_glibc();   /* the helper is not done yet, though the notification thread runs already */
    notify_one();
    CHECK(called == 1);
    struct call *c = in_thread(release_it, r);
    CHECK(waits(c));
    release_glibc();
    end(c);
}

static void a_plan_waits_for_its_helper_before_it_goes(void)
{
    struct plan *plan = callback();
    hold_glibc();   /* pthread_create still reads the attributes */
    struct call *c = in_thread(release_plan, plan);
    CHECK(waits(c));
    release_glibc();
    end(c);
}

static void a_plan_lives_until_it_has_announced(void)
{
    struct plan *plan = callback();
    struct request *r = fly(FD, plan);
    plan_release(plan);
    serve(FD);
    notify_one();
    CHECK(called == 1);
    request_release(r);
}

static void a_request_lives_until_it_is_announced(void)
{
    struct request *r = fly(FD, callback());
    void *kept;
    ssize_t result;
    serve(FD);
    request_look(r, &result, &kept);
    request_release(r);
    notify_one();
    CHECK(called == 1);
}

static void a_listing_lives_until_it_is_announced(void)
{
    struct plan *plan = callback();
    struct listing *l = listing_new(2, sizeof(struct wanted));
    struct wanted whole = { .plan = plan };
    for (l->n = 0; l->n < 2; l->n++) {
        l->requests[l->n] = request_new();
        l->wanted[l->n] = want(FD, NULL, NULL);
    }
    CHECK(list_submit(l, false, &whole) == 0);
    serve(FD);
    serve(FD);
    listing_release(l);
    plan_release(plan);
    notify_one();
    CHECK(called == 1);
}

/* --- waiters (G22) */

static void watch(void *r)
{
    struct request *list[] = { r };
    const struct timespec long_time = { 60, 0 };
    request_watch(list, 1, &long_time);
}

static struct call *hold_a_waiter(struct request *r)
{
    hold_waiters(true);
    struct call *c = in_thread(watch, r);
    CHECK(EVENTUALLY(waiters() == 1, LONG));
    return c;
}

static void submit_again(void *r)
{
    struct wanted w = want(FD, NULL, NULL);
    CHECK(request_submit(r, &w) == 0);
}

static void list_again(void *r)
{
    struct listing *l = listing_new(1, sizeof(struct wanted));
    struct wanted whole = { .plan = NULL };
    l->n = 1;
    l->requests[0] = r;
    l->wanted[0] = want(FD, NULL, NULL);
    CHECK(list_submit(l, false, &whole) == 0);
}

static void cancel_it(void *r)
{
    CHECK(request_cancel(FD, r) == AIO_CANCELED);
}

static void a_second_submission_waits_for_waiters_of_the_first(void)
{
    struct request *r = fly(FD, NULL);
    struct call *waiter = hold_a_waiter(r);
    serve(FD);
    struct call *submitter = in_thread(submit_again, r);
    CHECK(waits(submitter) && queued(FD) == 0);
    hold_waiters(false);
    end(waiter);
    end(submitter);
}

static void a_list_waits_for_waiters_of_its_entries(void)
{
    struct request *r = fly(FD, NULL);
    struct call *waiter = hold_a_waiter(r);
    serve(FD);
    struct call *submitter = in_thread(list_again, r);
    CHECK(waits(submitter) && queued(FD) == 0);
    hold_waiters(false);
    end(waiter);
    end(submitter);
}

static void a_revival_waits_for_waiters(void)
{
    struct request *head = fly(FD, NULL), *follower = fly(FD, NULL);
    struct call *waiter = hold_a_waiter(follower);
    struct call *canceller = in_thread(cancel_it, head);
    CHECK(waits(canceller) && queued(FD) == 0);
    hold_waiters(false);
    end(waiter);
    end(canceller);
    CHECK(queued(FD) == 1);
}

/* --- cancelling (G15) */

static int submissions;
static void count_submission(struct aiocb *cb) { (void)cb; submissions++; }

static void the_followers_of_a_cancelled_head_run(void)
{
    struct request *head = fly(FD, NULL), *second = fly(FD, NULL), *third = fly(FD, NULL);
    CHECK(request_cancel(FD, head) == AIO_CANCELED && state(head) == COMPLETE);
    CHECK(state(second) == IN_FLIGHT && state(third) == IN_FLIGHT);
    CHECK(serve(FD) && state(second) == COMPLETE && state(third) == IN_FLIGHT);
    CHECK(serve(FD) && state(third) == COMPLETE);
}

static void cancelling_what_is_no_head_submits_nothing_again(void)
{
    struct request *head = fly(FD, NULL), *middle = fly(FD, NULL);
    fly(FD, NULL);
    on_submit = count_submission;
    CHECK(request_cancel(FD, middle) == AIO_CANCELED);
    CHECK(submissions == 0 && state(head) == IN_FLIGHT);
    CHECK(serve(FD) && state(head) == COMPLETE);
}

static void what_was_cancelled_before_is_not_revived(void)
{
    struct request *head = fly(FD, NULL), *before = fly(FD, NULL), *last = fly(FD, NULL);
    finish(&before->cb, ECANCELED);   /* and nobody has looked */
    CHECK(request_cancel(FD, head) == AIO_CANCELED);
    CHECK(state(before) == COMPLETE && before->error == ECANCELED);
    CHECK(state(last) == IN_FLIGHT && queued(FD) == 1);
}

static void the_revived_are_announced_once(void)
{
    struct request *head = fly(FD, NULL), *follower = fly(FD, callback());
    CHECK(request_cancel(FD, head) == AIO_CANCELED);
    CHECK(pending() == 0 && state(follower) == IN_FLIGHT);
    serve(FD);
    CHECK(pending() == 1);
    notify_one();
    CHECK(called == 1);
}

static struct request *fly_at(int reqprio)
{
    struct request *r = request_new();
    struct wanted w = want(FD, NULL, NULL);
    w.reqprio = reqprio;
    CHECK(request_submit(r, &w) == 0);
    return r;
}

static void the_revived_keep_their_order(void)
{
    struct request *head = fly_at(0), *lazy = fly_at(5), *urgent = fly_at(1), *lazier = fly_at(5);
    CHECK(request_cancel(FD, head) == AIO_CANCELED);
    CHECK(serve(FD) && state(urgent) == COMPLETE && state(lazy) == IN_FLIGHT);
    CHECK(serve(FD) && state(lazy) == COMPLETE && state(lazier) == IN_FLIGHT);
    CHECK(serve(FD) && state(lazier) == COMPLETE);
}

static void a_head_that_stands_behind_is_found(void)
{
    struct request *first = fly_at(0), *lazy = fly_at(9), *urgent = fly_at(1);
    CHECK(serve(FD) && state(first) == COMPLETE);   /* urgent is the head now */
    CHECK(request_cancel(FD, urgent) == AIO_CANCELED);
    CHECK(serve(FD) && state(lazy) == COMPLETE);
}

static void what_cannot_be_revived_fails(void)
{
    struct request *head = fly(FD, NULL), *follower = fly(FD, NULL);
    refuse_untouched(EAGAIN);
    CHECK(request_cancel(FD, head) == AIO_CANCELED);
    CHECK(state(follower) == COMPLETE && follower->error == EAGAIN);
}

static struct request *silent;
static void end_silently(void) { finish(&silent->cb, 0); }

static void a_head_that_ends_while_it_is_silent_sends_its_signal(void)
{
    sigset_t set;
    const struct timespec now = { 0, 0 };
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct wanted w = want(FD, plan_new(SIGEV_SIGNAL, SIGRTMIN, 1, 0, NULL, 0), NULL);
    w.reqprio = 5;
    silent = request_new();
    CHECK(request_submit(silent, &w) == 0);
    take_head(FD);
    struct request *urgent = fly(FD, NULL);   /* looks as if it were the head */
    on_cancel = end_silently;
    CHECK(request_cancel(FD, urgent) == AIO_CANCELED);
    CHECK(sigtimedwait(&set, NULL, &now) == SIGRTMIN);
    CHECK(sigtimedwait(&set, NULL, &now) == -1);
}

static void a_running_head_is_not_cancelled(void)
{
    struct request *head = fly(FD, NULL), *follower = fly(FD, NULL);
    take_head(FD);
    CHECK(request_cancel(FD, head) == AIO_NOTCANCELED);
    CHECK(fildes_cancel(FD) == AIO_NOTCANCELED);
    CHECK(state(follower) == COMPLETE && follower->error == ECANCELED && state(head) == IN_FLIGHT);
}

static void a_request_that_glibc_does_not_know_yet_is_not_cancelled(void)
{
    struct request *r = request_new();
    r->cb.aio_fildes = FD;
    r->cb.__error_code = EINPROGRESS;
    pthread_mutex_lock(&life);
    request_fly(r, serial_new(), NULL, false);
    pthread_mutex_unlock(&life);
    CHECK(request_cancel(FD, r) == AIO_NOTCANCELED);
}

/* --- lists */

static struct listing *list_of(int n, struct request **requests)
{
    struct listing *l = listing_new((size_t)n, sizeof(struct wanted));
    for (l->n = 0; (int)l->n < n; l->n++) {
        l->requests[l->n] = requests ? requests[l->n] : request_new();
        l->wanted[l->n] = want(FD, NULL, NULL);
    }
    return l;
}

static void a_list_with_a_request_in_flight_flies_not_at_all(void)
{
    struct request *mixed[] = { request_new(), fly(OTHER, NULL) };
    struct wanted whole = { .plan = callback() };
    CHECK(list_submit(list_of(2, mixed), false, &whole) == -EINPROGRESS);
    CHECK(state(mixed[0]) == UNSUBMITTED && queued(FD) == 0 && notices_open() == 0);
}

static void a_list_with_the_same_request_twice_flies_not_at_all(void)
{
    struct request *r = request_new(), *twice[] = { r, r };
    struct wanted whole = { .plan = NULL };
    CHECK(list_submit(list_of(2, twice), false, &whole) == -EEXIST);
    CHECK(state(r) == UNSUBMITTED && queued(FD) == 0);
    struct wanted w = want(FD, NULL, NULL);
    CHECK(request_submit(r, &w) == 0);
    serve(FD);
    /* nothing is left of the refusal */
    CHECK(list_submit(list_of(1, twice), false, &whole) == 0);
}

static void what_glibc_left_out_of_a_list_fails(void)
{
    struct listing *l = list_of(3, NULL);
    struct wanted whole = { .plan = NULL };
    refuse(EAGAIN, 1);
    CHECK(list_submit(l, false, &whole) == EAGAIN);
    CHECK(queued(FD) == 1 && state(l->requests[0]) == IN_FLIGHT);
    CHECK(state(l->requests[1]) == COMPLETE && l->requests[1]->error == EAGAIN);
    CHECK(state(l->requests[2]) == COMPLETE && l->requests[2]->error == EAGAIN);
    serve(FD);
    CHECK(state(l->requests[0]) == COMPLETE && l->requests[0]->error == 0);
}

static void an_empty_list_is_announced(void)
{
    struct wanted whole = { .plan = callback() };
    CHECK(list_submit(list_of(0, NULL), false, &whole) == 0);
    CHECK(pending() == 1);
    notify_one();
    CHECK(called == 1);
}

static void a_wait_is_for_the_submission_that_was_listed(void)
{
    struct request *r = fly(FD, NULL);
    uint64_t serial = serial_of(r->word);
    serve(FD);
    submit_again(r);
    CHECK(state(r) == IN_FLIGHT);
    CHECK(list_any(&r, &serial, 1));
    CHECK(list_left(&r, &serial, 1) == 0);
    serial = serial_of(r->word);
    CHECK(!list_any(&r, &serial, 1));
    CHECK(list_left(&r, &serial, 1) == 1);
}

/* --- queues */

static struct request *fly_to(struct queue *q, int fd)
{
    return fly(fd, plan_new(SIGEV_THREAD, 0, 0, 0, q, 0));
}

static bool readable(int fd)
{
    uint64_t n;
    ssize_t rc = read(fd, &n, sizeof n);
    return rc == sizeof n && write(fd, &n, sizeof n) == sizeof n;
}

static void a_queue_is_readable_while_there_is_something_left(void)
{
    struct queued *out[2];
    queue = queue_new();
    for (int i = 0; i < 3; i++) {
        fly_to(queue, FD + i);
        serve(FD + i);
        notify_one();
    }
    CHECK(readable(queue->fd));
    CHECK(queue_take(queue, out, 2) == 2 && readable(queue->fd));
    CHECK(queue_take(queue, out, 2) == 1 && !readable(queue->fd));
    CHECK(queue_take(queue, out, 2) == 0);
}

static void completions_come_in_their_order(void)
{
    struct queued *out[8];
    queue = queue_new();
    for (int i = 0; i < 4; i++)
        fly_to(queue, FD + i);
    for (int i = 3; i >= 0; i--) {
        serve(FD + i);
        notify_one();
    }
    CHECK(queue_take(queue, out, 8) == 4);
    for (int i = 0; i < 4; i++)
        CHECK(((struct notice *)out[i])->request->cb.aio_fildes == FD + 3 - i);
}

static void what_a_closed_queue_held_is_discarded(void)
{
    queue = queue_new();
    fly_to(queue, FD);
    fly_to(queue, OTHER);
    serve(FD);
    notify_one();
    queue_close(queue);
    CHECK(EVENTUALLY(discarded_seen == 1, LONG));
    serve(OTHER);
    notify_one();
    CHECK(EVENTUALLY(discarded_seen == 2, LONG));
    CHECK(notices_open() == 0);
}

static void the_eventfd_of_a_closed_queue_lives_until_the_last_push(void)
{
    queue = queue_new();
    int fd = queue->fd;
    fly_to(queue, FD);
    queue_close(queue);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    serve(FD);
    notify_one();
    CHECK(fcntl(fd, F_GETFD) == -1);
}

static void what_is_put_back_into_a_closed_queue_rings_nobody_else(void)
{
    struct queued *out[1];
    queue = queue_new();
    int fd = queue->fd;
    fly_to(queue, FD);
    serve(FD);
    notify_one();
    CHECK(queue_take(queue, out, 1) == 1);
    queue_close(queue);
    int other = eventfd(0, EFD_NONBLOCK);
    CHECK(other == fd);
    queue_put_back(queue, out, 1);
    CHECK(!readable(other));
    CHECK(EVENTUALLY(discarded_seen == 1, LONG));
}

static void the_memory_of_a_queue_lives_until_the_last_plan(void)
{
    queue = queue_new();
    struct plan *plan = plan_new(SIGEV_THREAD, 0, 0, 0, queue, 0);
    queue_close(queue);
    queue_free(queue);
    struct request *r = fly(FD, plan);   /* announces to a closed queue */
    serve(FD);
    notify_one();
    CHECK(EVENTUALLY(discarded_seen == 1, LONG));
    request_release(r);
    plan_release(plan);
}

static void take(void *q)
{
    while (queue_take(q, (struct queued *[1]){ NULL }, 1) >= 0)
        queue_wait(q, 60000);
}

static void closing_a_queue_ends_the_waits(void)
{
    queue = queue_new();
    struct call *c = in_thread(take, queue);
    CHECK(waits(c));
    queue_close(queue);
    end(c);
    struct queued *out;
    CHECK(queue_take(queue, &out, 1) == -1);
}

/* --- the baton */

static void take_and_carry(void *carried)
{
    baton_take();
    *(uint64_t *)carried = baton_carry();
}

static void one_callback_runs_at_a_time(void)
{
    uint64_t first, second;
    baton_make();
    take_and_carry(&first);
    struct call *c = in_thread(take_and_carry, &second);
    CHECK(waits(c));
    baton_pass(first);
    end(c);
}

static void a_callback_that_blocks_loses_the_baton(void)
{
    uint64_t first, second, third;
    baton_make();
    take_and_carry(&first);
    struct call *c = in_thread(take_and_carry, &second);
    CHECK(waits(c));
    baton_look();
    CHECK(waits(c));
    baton_look();   /* the sweeper's second look finds the same callback */
    end(c);
    baton_pass(first);   /* it has lost the baton, so it passes nothing on */
    c = in_thread(take_and_carry, &third);
    CHECK(waits(c));
    baton_pass(second);
    end(c);
}

static void who_waits_for_the_baton_wakes_the_sweeper(void)
{
    uint64_t first, second;
    baton_make();
    fly(FD, NULL);   /* there is a sweeper */
    usleep(3000000);   /* and it sleeps until it is needed */
    take_and_carry(&first);
    end(in_thread(take_and_carry, &second));
}

static void an_abolished_baton_holds_up_nobody(void)
{
    uint64_t carried[4];
    struct call *calls[3];
    baton_make();
    baton_take();
    for (int i = 0; i < 3; i++)
        calls[i] = in_thread(take_and_carry, &carried[i]);
    CHECK(waits(calls[0]) && waits(calls[1]) && waits(calls[2]));
    baton_abolish();
    for (int i = 0; i < 3; i++)
        end(calls[i]);
    take_and_carry(&carried[3]);
}

#define WALLS(WALL) \
    WALL(a_ticket_delivers_once) WALL(a_ticket_of_a_former_notice_is_stale) \
    WALL(a_notification_that_comes_too_early_delivers_nothing) \
    WALL(a_list_that_is_announced_too_early_waits) \
    WALL(the_sweeper_leaves_a_late_thread_one_sweep) \
    WALL(the_sweeper_delivers_what_was_lost_and_once) WALL(what_is_not_over_is_not_lost) \
    WALL(a_dozing_sweeper_is_woken_by_a_submission) WALL(each_notice_has_its_own_sweeps) \
    WALL(the_sweeper_leaves_what_was_claimed) WALL(what_was_delivered_is_no_longer_owed) \
    WALL(what_is_discarded_wakes_the_sweeper) WALL(a_notification_thread_is_detached) \
    WALL(what_is_in_flight_keeps_what_it_needs) \
    WALL(a_request_is_in_progress_before_glibc_knows_it) \
    WALL(a_request_is_over_when_its_helper_is_out) \
    WALL(a_forked_child_is_refused_before_any_lock) \
    WALL(a_request_without_a_sigevent_sends_nothing) \
    WALL(a_head_that_ends_while_it_is_silent_sends_its_signal) \
    WALL(a_request_in_flight_is_refused) WALL(a_refused_submission_leaves_the_result_before) \
    WALL(a_refused_submission_owes_nothing) \
    WALL(a_refused_submission_is_undone_though_somebody_saw_it) \
    WALL(a_refused_submission_gives_back_what_it_held) \
    WALL(a_new_submission_hands_out_what_the_old_one_kept) \
    WALL(of_two_who_ask_one_gets_the_result) \
    WALL(a_request_that_somebody_waits_for_is_not_reset) \
    WALL(an_abandoned_request_is_reaped_once) WALL(what_somebody_noticed_is_not_reaped) \
    WALL(a_request_waits_for_its_helper_before_it_goes) \
    WALL(a_plan_waits_for_its_helper_before_it_goes) WALL(a_plan_lives_until_it_has_announced) \
    WALL(a_request_lives_until_it_is_announced) WALL(a_listing_lives_until_it_is_announced) \
    WALL(a_second_submission_waits_for_waiters_of_the_first) \
    WALL(a_list_waits_for_waiters_of_its_entries) WALL(a_revival_waits_for_waiters) \
    WALL(the_followers_of_a_cancelled_head_run) \
    WALL(cancelling_what_is_no_head_submits_nothing_again) \
    WALL(what_was_cancelled_before_is_not_revived) WALL(the_revived_are_announced_once) \
    WALL(the_revived_keep_their_order) WALL(a_head_that_stands_behind_is_found) \
    WALL(what_cannot_be_revived_fails) WALL(a_running_head_is_not_cancelled) \
    WALL(a_request_that_glibc_does_not_know_yet_is_not_cancelled) \
    WALL(a_list_with_a_request_in_flight_flies_not_at_all) \
    WALL(a_list_with_the_same_request_twice_flies_not_at_all) \
    WALL(what_glibc_left_out_of_a_list_fails) WALL(an_empty_list_is_announced) \
    WALL(a_wait_is_for_the_submission_that_was_listed) \
    WALL(a_queue_is_readable_while_there_is_something_left) WALL(completions_come_in_their_order) \
    WALL(what_a_closed_queue_held_is_discarded) \
    WALL(the_eventfd_of_a_closed_queue_lives_until_the_last_push) \
    WALL(what_is_put_back_into_a_closed_queue_rings_nobody_else) \
    WALL(the_memory_of_a_queue_lives_until_the_last_plan) WALL(closing_a_queue_ends_the_waits) \
    WALL(one_callback_runs_at_a_time) WALL(a_callback_that_blocks_loses_the_baton) \
    WALL(who_waits_for_the_baton_wakes_the_sweeper) WALL(an_abolished_baton_holds_up_nobody)

int main(int argc, char **argv)
{
#define TRY(name) \
    if (argc == 2 && strcmp(argv[1], #name) == 0) { \
        name(); \
        _exit(0); \
    }
#define PRINT(name) puts(#name);
    WALLS(TRY)
    WALLS(PRINT)
    return argc == 2;
}
