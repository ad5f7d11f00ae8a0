# The shuffles of Python's `random`, drawn from its own generator. The entry points here move
# Python objects, but call none between looking at a list and writing to it.

cdef extern from *:
    """
    #ifdef Py_LIMITED_API  /* where a list is opaque, and what it lets go of, it counts */
    #define FASTBP_ITEM PyList_GetItem
    #define FASTBP_PUT(list, k, item) (Py_INCREF(item), (void) PyList_SetItem(list, k, item))
    #else
    #define FASTBP_ITEM PyList_GET_ITEM
    #define FASTBP_PUT PyList_SET_ITEM
    #endif
    """
    PyObject* item "FASTBP_ITEM"(list, Py_ssize_t) noexcept
    void put "FASTBP_PUT"(list, Py_ssize_t, PyObject*) noexcept

cdef enum:
    # MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998): words of state, and the
    # distance of the word that each new one is made with. Behind the words, as in
    # `random.getstate()`: how many of them are used up.
    WORDS = 624
    DISTANCE = 397


cdef inline uint32_t twist(uint32_t upper, uint32_t lower) noexcept nogil:
    """Return the top bit of one word and the others of the next, times the matrix A."""
    return (
        ((upper & <uint32_t> 0x80000000) | (lower & <uint32_t> 0x7fffffff)) >> 1
    ) ^ ((lower & 1) * <uint32_t> 0x9908b0df)


cdef void renew(uint32_t* state) noexcept nogil:
    """Make the next words of the generator out of those used up."""
    cdef int k
    for k in range(WORDS - DISTANCE):
        state[k] = state[k + DISTANCE] ^ twist(state[k], state[k + 1])
    for k in range(WORDS - DISTANCE, WORDS - 1):
        state[k] = state[k + DISTANCE - WORDS] ^ twist(state[k], state[k + 1])
    state[WORDS - 1] = state[DISTANCE - 1] ^ twist(state[WORDS - 1], state[0])
    state[WORDS] = 0


cdef inline uint32_t draw(uint32_t* state) noexcept nogil:
    """Return the next 32 random bits."""
    cdef uint32_t y
    if state[WORDS] == WORDS:
        renew(state)
    y = state[state[WORDS]]
    state[WORDS] += 1
    y ^= y >> 11
    y ^= (y << 7) & <uint32_t> 0x9d2c5680
    y ^= (y << 15) & <uint32_t> 0xefc60000
    return y ^ (y >> 18)


cdef inline double draw_double(uint32_t* state) noexcept nogil:
    """Return what `random.random()` does, 53 random bits as a number below 1."""
    cdef uint32_t upper = draw(state) >> 5  # one after the other: C may not keep an order
    cdef uint32_t lower = draw(state) >> 6
    return (upper * 67108864.0 + lower) / 9007199254740992.0  # 2^26, 2^53


cdef void permute(
    uint32_t* state,    # IN/OUT
    bint python2,       # IN
    Py_ssize_t[::1] order,  # IN/OUT  fewer than 2^32
) noexcept nogil:
    """Exchange each entry, the last first, for one drawn of those up to it.

    Python 3 draws as many bits as the number of choices has, until they are below it.
    """
    cdef Py_ssize_t i, j
    cdef uint32_t choices, choice
    cdef int spare = 0
    for i in range(order.shape[0] - 1, 0, -1):
        if python2:
            j = <Py_ssize_t> (draw_double(state) * <double> (i + 1))
        else:
            choices = <uint32_t> (i + 1)
            while not (choices << spare) & <uint32_t> 0x80000000:
                spare += 1
            choice = draw(state) >> spare
            while choice >= choices:
                choice = draw(state) >> spare
            j = <Py_ssize_t> choice
        order[i], order[j] = order[j], order[i]


def shuffle(
    getstate,      # of a _random.Random
    setstate,      # of the same
    bint python2,  # IN      as Python 2 did, or as Python 3 does
    order,         # IN/OUT  fewer than 2^32
):
    """Shuffle ``order`` as Python does a list, and leave the generator as Python does.

    The GIL is kept: a thread that draws in between would get what is drawn here.
    """
    cdef uint32_t state[WORDS + 1]
    cdef tuple words = getstate()
    # Not a comprehension: one that finds no memory to grow drops its item twice (Cython 3.2).
    cdef list after = [None] * (WORDS + 1)
    cdef Py_ssize_t k
    if len(words) != WORDS + 1 or not 0 <= words[WORDS] <= WORDS:
        raise ValueError("not the state of a Mersenne Twister")
    for k in range(WORDS + 1):
        state[k] = words[k]
    permute(state, python2, order)  # a view that is made after all that runs code of a user's
    for k in range(WORDS + 1):
        after[k] = state[k]
    setstate(tuple(after))


cdef int check_indices(list samples, const Py_ssize_t[::1] which) except -1:
    """Refuse what are not indices into ``samples``, as many as it has."""
    cdef Py_ssize_t k, n = len(samples)
    cdef bint good = True
    if which.shape[0] != n:
        wrong_length("order", n, which.shape[0])
    for k in range(n):
        good &= (0 <= which[k]) & (which[k] < n)
    if not good:
        raise ValueError(error_message("order", f"indices below {n}", "others"))
    return 0


cdef bint same(list items, list samples, const Py_ssize_t[::1] which) noexcept:
    cdef Py_ssize_t k
    if len(items) != len(samples):
        return False
    for k in range(len(samples)):
        if item(items, k) != item(samples, which[k]):
            return False
    return True


def is_in_order(
    list items not None,                   # IN
    list samples not None,                   # IN
    const Py_ssize_t[::1] order not None,  # IN   indices into samples
):
    """Return whether ``items`` is ``[samples[k] for k in order]``, object by object."""
    check_indices(samples, order)
    return same(items, samples, order)


def reorder(
    list items not None,                    # IN/OUT
    list samples not None,                    # IN
    const Py_ssize_t[::1] before not None,  # IN   indices into samples
    const Py_ssize_t[::1] after not None,   # IN   the same, in another order
):
    """Make ``items[k]`` the object ``samples[after[k]]``, if they are in the order ``before``."""
    cdef Py_ssize_t k
    check_indices(samples, after)
    check_indices(samples, before)
    if same(items, samples, before):
        for k in range(len(samples)):
            # The list still holds the same objects, so that no reference count changes.
            put(items, k, item(samples, after[k]))
