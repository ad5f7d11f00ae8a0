/* How the threads that share a mini-batch wait for each other.
 *
 * A team is three words that all of them see. Nobody is put to sleep: a barrier takes a
 * fraction of a microsecond where all have their processor, where the operating system's
 * takes a hundred. Other compilers than gcc and clang have other names for all this; with
 * them there are no teams. */
#ifndef FASTBP_THREADS_H
#define FASTBP_THREADS_H

#include <stddef.h>

enum { ARRIVALS, LEAVING, ABORTED, TEAM_LENGTH };

#if defined(__GNUC__) && !defined(_WIN32)
#include <sched.h>
#define FASTBP_TEAMS 1
#define LOAD(word) __atomic_load_n(word, __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(word, value, __ATOMIC_RELEASE)
#define INCREMENT(word) __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL)
#else
#define FASTBP_TEAMS 0
#define LOAD(word) (*(word))
#define STORE(word, value) (*(word) = (value))
#define INCREMENT(word) (++*(word))
#define sched_yield()
#endif

#if FASTBP_TEAMS && (defined(__x86_64__) || defined(__i386__))
#define PAUSE() __builtin_ia32_pause()
#elif FASTBP_TEAMS && defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE()
#endif

/* Some microseconds; then whoever else waits for this processor may have it. */
enum { SPINS = 200 };

/* Wait for all parts; return 0 if one of them will never come. What each part wrote before,
 * all see after. Arrivals only ever grow, so that a slow part cannot miss the end of its wait. */
static inline int fastbp_barrier(ptrdiff_t *team, ptrdiff_t parts)
{
    const ptrdiff_t own = INCREMENT(&team[ARRIVALS]);
    const ptrdiff_t all = (own + parts - 1) / parts * parts;
    for (int spins = 0; LOAD(&team[ARRIVALS]) < all; spins++) {
        if (LOAD(&team[ABORTED])) return 0;
        if (spins < SPINS) {
            PAUSE();
        } else {
            spins = SPINS;
            sched_yield();
        }
    }
    return 1;
}

/* Meet, and return what part 0 has found: whether to leave. */
static inline int fastbp_broadcast(ptrdiff_t *team, ptrdiff_t parts, ptrdiff_t part, int leave)
{
    if (part == 0) STORE(&team[LEAVING], leave);
    return !fastbp_barrier(team, parts) || LOAD(&team[LEAVING]) != 0;
}

static inline void fastbp_abort(ptrdiff_t *team) { STORE(&team[ABORTED], 1); }

#endif
