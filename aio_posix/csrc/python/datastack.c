/* Keeps the interpreter's data stacks for the next notification thread.
 *
 * State: `spare` holds chunks that nobody uses.  `below` is the allocator that was there before.
 *
 * Since Python 3.11 every thread state maps a chunk of 16 KiB for its frames when it runs its first
 * function and unmaps it when it dies.  A notification thread lives for one callback, and in a
 * process with other threads that pair costs as much as making the thread itself, 26 of 58 us, but
 * 3 of 33 with this file.  So, from the first SIGEV_THREAD request with a Python callable on,
 * chunks of just that size pass through PEP 445's arena allocator, which is documented but not in
 * the stable ABI.  It is looked up by name, and left alone if it is missing.  obmalloc's own arenas
 * are 256 KiB or more and never match.  Lock-free, because a fork may come at any moment.
 */
#include "datastack.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { CHUNK_SIZE = 16 << 10, SPARE = 64 };

struct arena_allocator {   /* PyObjectArenaAllocator */
    void *context;
    void *(*alloc)(void *context, size_t size);
    void (*free)(void *context, void *chunk, size_t size);
};

static struct arena_allocator below;
static _Atomic(void *) spare[SPARE];

static void *chunk_alloc(void *context, size_t size)
{
    for (int i = 0; size == CHUNK_SIZE && i < SPARE; i++) {
        void *chunk = atomic_load(&spare[i]) ? atomic_exchange(&spare[i], NULL) : NULL;
        if (chunk != NULL)
            return chunk;
    }
    return below.alloc(context, size);
}

static void chunk_free(void *context, void *chunk, size_t size)
{
    for (int i = 0; size == CHUNK_SIZE && i < SPARE; i++) {
        void *nothing = NULL;
        if (atomic_compare_exchange_strong(&spare[i], &nothing, chunk))
            return;
    }
    below.free(context, chunk, size);
}

/* With the GIL held, if there is one.  A later call does nothing. */
void datastack_keep(void)
{
    static atomic_bool done;
    void (*get)(struct arena_allocator *), (*set)(struct arena_allocator *);
    *(void **)&get = dlsym(RTLD_DEFAULT, "PyObject_GetArenaAllocator");
    *(void **)&set = dlsym(RTLD_DEFAULT, "PyObject_SetArenaAllocator");
    if (!atomic_exchange(&done, true) && get != NULL && set != NULL) {
        get(&below);
        struct arena_allocator ours = { below.context, chunk_alloc, chunk_free };
        set(&ours);
    }
}
