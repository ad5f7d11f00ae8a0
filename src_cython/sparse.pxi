# The first layer for inputs many of which are 0, such as the pixels of digits: of 784 a MNIST
# image sets 150. A term of 0 changes no sum, so what is left out changes no bit.
#
# Each sample has a mask: which of its inputs are not 0. Each pair of samples, an even one and the
# next, has a list of uint16: at how many places one of both is not 0, and which. Both lie where the
# errors of the inputs would be, which nothing asks for, behind the address of the sample's inputs:
# the caller's own array, where its type is the network's, else a copy.
#
# Masks are made from samples as they are, or taken from their records (fastbp/records.py): a mask
# and what is not 0, a fifth of the memory for digits, which samples in random order wait for.

cdef enum:
    LEAST_INPUTS = 64
    MOST_INPUTS = 65535  # as many as a list can name
    LOOKED_AT = 16  # samples
    NARROW = 4  # vectors of a row
    FETCHED = 12  # lines for every pass over a pair of samples
    STRIP_BYTES = 32768  # of rows that stay in a near cache while all samples pass
    LEAST_STRIP = 64  # rows


cdef inline Py_ssize_t nth(const Pass* run, Py_ssize_t position) noexcept nogil:
    """Return which sample that is."""
    return position if run.order == NULL else run.order[position]


cdef bint lists_pay(const Pass* run, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """Whether lists would name two thirds of the places at most, as far as the first samples tell.

    Measured: at 63 % (64 pixels of handwritten digits, half of them 0) a step takes 5 to 13 % less.
    """
    cdef Py_ssize_t n_0 = run.inputs.n_0, some = 0, n = min(stop - start, LOOKED_AT), s, i, j, k
    if n_0 < LEAST_INPUTS or n_0 > MOST_INPUTS:
        return False
    for s from 0 <= s < n by 2:
        i, j = n_0 * nth(run, start + s), n_0 * nth(run, start + min(s + 1, n - 1))
        if run.inputs.floats != NULL:
            for k in range(n_0):
                some += (run.inputs.floats[i + k] != 0) | (run.inputs.floats[j + k] != 0)
        else:
            for k in range(n_0):
                some += (run.inputs.doubles[i + k] != 0) | (run.inputs.doubles[j + k] != 0)
    return 3 * some <= (n + 1) // 2 * 2 * n_0


cdef inline const real* sample(Inputs inputs, Py_ssize_t s, real* target) noexcept nogil:
    """Return sample s in the network's type: where it is, or else in target."""
    if real is float:
        if inputs.floats != NULL:
            return inputs.floats + s * inputs.n_0
    elif inputs.doubles != NULL:
        return inputs.doubles + s * inputs.n_0
    load(inputs, s, target)
    return target


cdef inline const real** place_of(
    const Layer* layers, const real* lists, Py_ssize_t s
) noexcept nogil:
    """Return where the address of the inputs of sample s is kept."""
    return <const real**> (lists + s * layers[0].width)


cdef inline uint32_t* mask_of(
    const Layer* layers, const real* lists, Py_ssize_t s
) noexcept nogil:
    """Return the mask of sample s: which of its inputs are not 0."""
    return <uint32_t*> (<char*> (lists + s * layers[0].width) + sizeof(void*))


cdef inline uint16_t* list_of(
    const Layer* layers, const real* lists, Py_ssize_t s
) noexcept nogil:
    """Return the list of samples s, which is even, and s + 1: how many places, and which."""
    return <uint16_t*> (
        <char*> mask_of(layers, lists, s) + mask_bytes(layers[0].fan_out)
    )


cdef void list_inputs(
    const Pass* run,
    Py_ssize_t position,  # IN   of sample 0 in the order
    Py_ssize_t first,     # IN   even
    Py_ssize_t n,
    bint in_place,        # IN   whether inputs may stay where they are
    real* a,              # OUT  (., width_in) of each sample
    real* lists,          # OUT
) noexcept nogil:
    """Bring n samples, from the first on, and their lists."""
    cdef Py_ssize_t s, k, i, n_0 = run.inputs.n_0, width_in = run.layers[0].width, end = first + n
    cdef uint32_t* masks
    cdef const char* record
    cdef uint16_t* found
    cdef real* x
    cdef const real* row
    cdef float* floats = <float*> run.turned
    for s in range(first, end):
        i = nth(run, position + s)
        x = a + s * width_in
        row = x
        masks = mask_of(run.layers, lists, s)
        if run.inputs.records != NULL:
            record = run.inputs.records + run.inputs.starts[i]
            for k in range(mask_bytes(n_0) // 4):
                masks[k] = (<const uint32_t*> record)[k]
            if real is float:
                expand_float(n_0, record, x)
            elif run.inputs.floats != NULL:
                expand_float(n_0, record, floats)
                for k in range(n_0):
                    x[k] = floats[k]
            else:
                expand_double(n_0, record, x)
        else:
            row = sample(run.inputs, i, x)
            if row != x and not in_place:
                copy(n_0, row, x)
                row = x
            if real is float:
                mask_float(n_0, row, masks)
            else:
                mask_double(n_0, row, masks)
        place_of(run.layers, lists, s)[0] = row
    for s from first <= s < end by 2:
        masks = mask_of(run.layers, lists, s)
        found = list_of(run.layers, lists, s)
        found[0] = <uint16_t> fastbp_list(
            n_0, masks, mask_of(run.layers, lists, min(s + 1, end - 1)), found + 1
        )


cdef Py_ssize_t compress(
    Inputs inputs,
    Py_ssize_t start,    # IN   the first and
    Py_ssize_t stop,     # IN   past the last sample
    Py_ssize_t room,     # IN   bytes
    Py_ssize_t* starts,  # OUT  of each sample's record; IN of the first
    char* records,       # OUT
) noexcept nogil:
    """Write the samples' records; return how many there was room for."""
    cdef fastbp_mode mode = flush_subnormals()  # as where the inputs are read without these
    cdef Py_ssize_t s = start, n_0 = inputs.n_0, bytes
    # Of the longest record, and what may be read behind it.
    cdef Py_ssize_t most = (n_0 + 64) * <Py_ssize_t> (sizeof(double) + 1) + LINE
    if LEAST_INPUTS <= n_0 <= MOST_INPUTS:
        while s < stop and starts[s] + most <= room:
            if inputs.floats != NULL:
                bytes = compress_float(n_0, inputs.floats + s * n_0, records + starts[s])
            else:
                bytes = compress_double(n_0, inputs.doubles + s * n_0, records + starts[s])
            starts[s + 1] = starts[s] + (bytes + 7) // 8 * 8
            s += 1
    restore(mode)
    return s - start


cdef void sparse_forward(
    const Layer* layers,
    Py_ssize_t first,   # IN   even
    Py_ssize_t n,
    const real* W,      # IN   (fan_in + 1, width) of the first layer
    const real* lists,  # IN
    real* z,            # OUT  (., width)
) noexcept nogil:
    """Compute z = a W + bias of the first layer, of n samples from the first on."""
    cdef Py_ssize_t s, width = layers[1].width, end = first + n
    cdef const uint16_t* found
    cdef const real* bias = W + layers[1].fan_in * width
    for s from first <= s < end by 2:
        found = list_of(layers, lists, s)
        if real is float:
            sum_listed_float(
                min(2, end - s), width, found[0], found + 1, place_of(layers, lists, s)[0],
                place_of(layers, lists, min(s + 1, end - 1))[0], W, width,
                bias, z + s * width, width,
            )  # fmt: skip
        else:
            sum_listed_double(
                min(2, end - s), width, found[0], found + 1, place_of(layers, lists, s)[0],
                place_of(layers, lists, min(s + 1, end - 1))[0], W, width,
                bias, z + s * width, width,
            )  # fmt: skip


cdef void sparse_gradient(
    const Layer* layers,
    Py_ssize_t n,
    Py_ssize_t low,     # IN      the first and
    Py_ssize_t high,    # IN      past the last row of G to compute
    const real* lists,  # IN
    const real* delta,  # IN      (n, width)
    int start,          # IN      FROM_ZERO, or FROM_C to add to what is there
    real scale,         # IN      of the weights that are there
    real* work,         # WORK    (high - low, n), and a row of G at least
    real* G,            # IN/OUT  (fan_in, width)
    fastbp_ahead* ahead,
) noexcept nogil:
    """Compute a^T delta (BP4) of the first layer, from that start."""
    cdef Py_ssize_t width = layers[1].width
    if start == FROM_ZERO:
        clear((high - low) * width, G + low * width)
        scale = 1
    if low < high and 1 < n <= FEW:
        rows_gradient(layers, n, low, high, lists, delta, scale, work, G, ahead)
    elif low < high:
        strips_gradient(layers, n, low, high, lists, delta, start, scale, work, G, ahead)


cdef void rows_gradient(
    const Layer* layers,
    Py_ssize_t n,
    Py_ssize_t low,
    Py_ssize_t high,
    const real* lists,
    const real* delta,
    real scale,
    real* work,
    real* G,
    fastbp_ahead* ahead,
) noexcept nogil:
    """Compute the rows that have an input that is not 0, of at most FEW samples, each at once.

    A wide row has only those samples whose input is not 0; narrow ones have all, tile by tile.
    """
    cdef Py_ssize_t first = low // 32, n_words = (high + 31) // 32 - first, width = layers[1].width
    cdef Py_ssize_t s, k, i
    cdef bint wide = width * <Py_ssize_t> sizeof(G[0]) > NARROW * VECTOR_BYTES
    cdef uint32_t* some = <uint32_t*> work  # the rows: which 32 of them, one behind the other, have
    cdef uint32_t* masks = some + n_words  # the same of each sample: words of FEW samples each
    cdef const uint32_t* mask
    cdef void* rows[FEW]
    for k in range(n_words):
        some[k] = 0
    for s in range(n):
        mask = mask_of(layers, lists, s) + first
        for k in range(n_words):
            some[k] |= mask[k]
        rows[s] = <void*> (place_of(layers, lists, s)[0] + 32 * first)
    some[0] &= <uint32_t> 0xffffffff << (low % 32)
    if high % 32:
        some[n_words - 1] &= ~(<uint32_t> 0xffffffff << (high % 32))
    G += 32 * first * width
    if scale != 1:
        for k in range(low - 32 * first, high - 32 * first):
            if not some[k // 32] >> (k % 32) & 1:
                for i in range(k * width, (k + 1) * width):
                    G[i] *= scale
    if wide:
        for k in range(n_words):
            for s in range(FEW):
                masks[FEW * k + s] = mask_of(layers, lists, s)[first + k] if s < n else 0
        if real is float:
            add_wide_rows_float(
                n_words, some, masks, width, <const float**> rows, delta, scale, G, ahead
            )
        else:
            add_wide_rows_double(
                n_words, some, masks, width, <const double**> rows, delta, scale, G, ahead
            )
    elif real is float:
        add_rows_float(
            n_words, some, n, width, <const float**> rows, delta, scale, G, <uint16_t*> masks, ahead
        )
    else:
        add_rows_double(
            n_words, some, n, width, <const double**> rows, delta, scale, G, <uint16_t*> masks, ahead
        )


cdef void strips_gradient(
    const Layer* layers,
    Py_ssize_t n,
    Py_ssize_t low,
    Py_ssize_t high,
    const real* lists,
    const real* delta,
    int start,
    real scale,
    real* work,
    real* G,
    fastbp_ahead* ahead,
) noexcept nogil:
    """Sum strips of rows, pair by pair of samples, in a near cache."""
    cdef Py_ssize_t width = layers[1].width, i, s, stop
    cdef Py_ssize_t strip = max(LEAST_STRIP, STRIP_BYTES // (width * <Py_ssize_t> sizeof(G[0])))
    cdef const uint16_t* found
    cdef real* sums = G  # row 0 of these
    cdef Py_ssize_t[BLOCK] at
    for s from 0 <= s < n by 2:
        found = list_of(layers, lists, s)
        at[s] = 0
        while found[1 + at[s]] < low:
            at[s] += 1
    cdef bint apart = start == FROM_C and n > 1
    if apart:
        strip = max(1, min(strip, (high - low) * n // width))
    elif start == FROM_C and scale != 1:
        for i in range(low * width, high * width):
            G[i] *= scale
    while low < high:
        stop = min(low + strip, high)
        if apart:
            sums = work - low * width
            clear((stop - low) * width, work)
        for s from 0 <= s < n by 2:
            found = list_of(layers, lists, s)
            if real is float:
                at[s] += add_listed_float(
                    min(2, n - s), width, stop, found + 1 + at[s], place_of(layers, lists, s)[0],
                    place_of(layers, lists, min(s + 1, n - 1))[0], delta + s * width, width,
                    sums, width,
                )  # fmt: skip
            else:
                at[s] += add_listed_double(
                    min(2, n - s), width, stop, found + 1 + at[s], place_of(layers, lists, s)[0],
                    place_of(layers, lists, min(s + 1, n - 1))[0], delta + s * width, width,
                    sums, width,
                )  # fmt: skip
            if ahead != NULL:
                fastbp_fetch(ahead, <int> (2 * (stop - low) // n + 1))
        if apart:
            for i in range(low * width, stop * width):
                G[i] = scale * G[i] + sums[i]
        low = stop
