/* State: the two locks, `forked`, and `touched`, which says whether a submission has begun in this
 * process. */
#include "process.h"

pthread_mutex_t submitting = PTHREAD_MUTEX_INITIALIZER, life = PTHREAD_MUTEX_INITIALIZER;
int forked;
static atomic_bool touched;

static void in_child(void)
{
    forked = forked || atomic_load(&touched);
}

int process_start(void)
{
    return pthread_atfork(NULL, NULL, in_child);
}

void process_touches_aio(void)
{
    if (!atomic_load_explicit(&touched, memory_order_relaxed))
        atomic_store(&touched, true);
}
