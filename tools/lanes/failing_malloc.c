/* Fails the k-th allocation that is ours, once armed; for LD_PRELOAD, on glibc.
 *
 * Ours are those which fastbp's modules ask for (by the return address), NumPy's memory of
 * arrays (through the handler below, which has no cache), and whatever is of so many bytes or
 * more as it is armed with. CPython's small objects are not: what it does without them is its own affair. */
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MOST_SEGMENTS 64

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_long seen, fail_at, fired;
static atomic_int armed;
static atomic_size_t large;
static struct { uintptr_t begin, end; } segments[MOST_SEGMENTS];
static int n_segments;

static int remember(struct dl_phdr_info *module, size_t size, void *unused) {
    (void)size, (void)unused;
    const char *name = module->dlpi_name;
    if (!name || !strstr(name, "/fastbp/_core_"))
        return 0;
    for (int i = 0; i < module->dlpi_phnum && n_segments < MOST_SEGMENTS; i++) {
        const ElfW(Phdr) *segment = &module->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            segments[n_segments].begin = module->dlpi_addr + segment->p_vaddr;
            segments[n_segments].end = segments[n_segments].begin + segment->p_memsz;
            n_segments++;
        }
    }
    return 0;
}

/* Find fastbp's modules, which must be loaded; return how many segments of code they have. */
int failing_find(void) {
    n_segments = 0;
    dl_iterate_phdr(remember, NULL);
    return n_segments;
}

void failing_arm(long k, size_t from) {
    atomic_store(&large, from);
    atomic_store(&seen, 0);
    atomic_store(&fired, 0);
    atomic_store(&fail_at, k);
    atomic_store(&armed, 1);
}

/* Return whether an allocation has failed since it was armed. */
long failing_disarm(void) {
    atomic_store(&armed, 0);
    return atomic_load(&fired);
}

static int fails(void) {
    if (!atomic_load(&armed) || atomic_fetch_add(&seen, 1) != atomic_load(&fail_at))
        return 0;
    atomic_store(&fired, 1);
    errno = ENOMEM;
    return 1;
}

static int ours(size_t size, void *caller) {
    if (!atomic_load(&armed))
        return 0;
    if (size >= atomic_load(&large))
        return 1;
    for (int i = 0; i < n_segments; i++)
        if (segments[i].begin <= (uintptr_t)caller && (uintptr_t)caller < segments[i].end)
            return 1;
    return 0;
}

#define FAILS(size) (ours(size, __builtin_return_address(0)) && fails())

void *malloc(size_t size) { return FAILS(size) ? NULL : __libc_malloc(size); }

void *calloc(size_t n, size_t size) {
    return FAILS(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) { return FAILS(size) ? NULL : __libc_realloc(old, size); }

void *memalign(size_t alignment, size_t size) {
    return FAILS(size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return FAILS(size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    void *memory = FAILS(size) ? NULL : __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *result = memory;
    return 0;
}

/* NumPy's memory of arrays, whatever its size: PyDataMem_Handler of version 1. */
static void *numpy_malloc(void *context, size_t size) {
    (void)context;
    return fails() ? NULL : __libc_malloc(size);
}

static void *numpy_calloc(void *context, size_t n, size_t size) {
    (void)context;
    return fails() ? NULL : __libc_calloc(n, size);
}

static void *numpy_realloc(void *context, void *old, size_t size) {
    (void)context;
    return fails() ? NULL : __libc_realloc(old, size);
}

static void numpy_free(void *context, void *memory, size_t size) {
    (void)context, (void)size;
    __libc_free(memory);
}

char failing_name[] = "mem_handler"; /* the capsule's, which takes no copy */
struct {
    char name[127];
    uint8_t version;
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *, size_t);
} failing_handler = {
    "failing", 1, NULL, numpy_malloc, numpy_calloc, numpy_realloc, numpy_free,
};
