# The first layer for inputs many of which are 0, such as the pixels of digits: of 784 a MNIST
# image sets 150. A term of 0 changes no sum, so what is left out changes no bit.
#
# For each pair of samples, an even one and the next, there is a list of uint16: at how many
# places one of both is not 0, and which. It lies where the errors of the inputs would be, which
# nothing asks for, in the row of the even sample. What is at these places of the inputs, and
# that alone, lies where all inputs of the two would be.
#
# A list is made of two samples as they are, or of their records (fastbp/records.py): a mask and
# what is not 0, a fifth of the memory for digits, which samples in random order wait for.

cdef enum:
    LEAST_INPUTS = 64
    MOST_INPUTS = 65535  # as many as a list can name
    LOOKED_AT = 16  # samples
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


cdef inline uint16_t* list_of(
    const Layer* layers, const real* lists, Py_ssize_t s
) noexcept nogil:
    """Return the list of samples s, which is even, and s + 1: how many places, and which."""
    return <uint16_t*> (lists + s * layers[0].width)


cdef inline const real* sample(Inputs inputs, Py_ssize_t s, real* target) noexcept nogil:
    """Return sample s in the network's type: where it is, or else in target."""
    if real is float:
        if inputs.floats != NULL:
            return inputs.floats + s * inputs.n_0
    elif inputs.doubles != NULL:
        return inputs.doubles + s * inputs.n_0
    load(inputs, s, target)
    return target


cdef Py_ssize_t list_pair(
    Inputs inputs,
    Py_ssize_t i,
    Py_ssize_t j,
    uint16_t* which,  # OUT
    real* x,          # OUT  (n_0,)
    real* y,          # OUT  (n_0,)
) noexcept nogil:
    """List at which places samples i and j are not 0, and what is there; return at how many."""
    if inputs.records != NULL:
        if real is float:
            return list_compressed_float(
                inputs.n_0, inputs.records + inputs.starts[i], inputs.records + inputs.starts[j],
                which, x, y,
            )  # fmt: skip
        else:
            return list_compressed_double(
                inputs.n_0, inputs.records + inputs.starts[i], inputs.records + inputs.starts[j],
                which, x, y,
            )  # fmt: skip
    if real is float:
        return list_nonzeros_float(
            inputs.n_0, sample(inputs, i, x), sample(inputs, j, y), which, x, y
        )
    else:
        return list_nonzeros_double(
            inputs.n_0, sample(inputs, i, x), sample(inputs, j, y), which, x, y
        )


cdef void list_inputs(
    const Pass* run,
    Py_ssize_t position,  # IN   of sample 0 in the order
    Py_ssize_t first,     # IN   even
    Py_ssize_t n,
    real* a,              # OUT  (., width_in) of each sample, the inputs that are listed
    real* lists,          # OUT
) noexcept nogil:
    """Bring n samples, from the first on, and their lists."""
    cdef Py_ssize_t s, k, i, j, width_in = run.layers[0].width
    cdef uint16_t* found
    cdef real* x
    cdef real* y
    for s from first <= s < first + n by 2:
        x = a + s * width_in
        y = x if s + 1 == first + n else x + width_in
        i, j = nth(run, position + s), nth(run, position + min(s + 1, first + n - 1))
        found = list_of(run.layers, lists, s)
        if real is double and run.inputs.floats != NULL:
            # Half as much to list. Floats lie in the second half of the row, and are widened
            # from the first on: none is overwritten before it has been read.
            found[0] = <uint16_t> list_pair(
                run.inputs, i, j, found + 1, <float*> x + width_in, <float*> y + width_in
            )
            for k in range(found[0]):
                x[k] = (<float*> x + width_in)[k]
            if y != x:
                for k in range(found[0]):
                    y[k] = (<float*> y + width_in)[k]
        else:
            found[0] = <uint16_t> list_pair(run.inputs, i, j, found + 1, x, y)


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
    const real* a,      # IN   (., width_in) inputs that are listed
    const real* lists,  # IN
    real* z,            # OUT  (., width)
) noexcept nogil:
    """Compute z = a W + bias of the first layer, of n samples from the first on."""
    cdef Py_ssize_t s, width = layers[1].width, width_in = layers[0].width, end = first + n
    cdef const uint16_t* found
    for s in range(first, end):
        copy(width, W + layers[1].fan_in * width, z + s * width)
    for s from first <= s < end by 2:
        found = list_of(layers, lists, s)
        if real is float:
            sum_listed_float(
                min(2, end - s), width, found[0], found + 1, a + s * width_in, width_in, W, width,
                z + s * width, width,
            )  # fmt: skip
        else:
            sum_listed_double(
                min(2, end - s), width, found[0], found + 1, a + s * width_in, width_in, W, width,
                z + s * width, width,
            )  # fmt: skip


cdef void sparse_gradient(
    const Layer* layers,
    Py_ssize_t n,
    Py_ssize_t low,     # IN      the first and
    Py_ssize_t high,    # IN      past the last row of G to compute
    const real* a,      # IN      (n, width_in) inputs that are listed
    const real* lists,  # IN
    const real* delta,  # IN      (n, width)
    int start,          # IN      FROM_ZERO, or FROM_C or TO_C to add to what is there
    real scale,         # IN      of the weights that are there
    real* work,         # WORK    (high - low, n), and a row of G at least
    real* G,            # IN/OUT  (fan_in, width)
    fastbp_ahead* ahead,
) noexcept nogil:
    """Compute a^T delta (BP4) of the first layer, from that start."""
    cdef Py_ssize_t width = layers[1].width, width_in = layers[0].width, i, s, stop
    cdef Py_ssize_t strip = max(LEAST_STRIP, STRIP_BYTES // (width * <Py_ssize_t> sizeof(G[0])))
    cdef const uint16_t* found
    cdef real* sums = G  # row 0 of these
    cdef Py_ssize_t[BLOCK] at
    for s from 0 <= s < n by 2:
        found = list_of(layers, lists, s)
        at[s] = 0
        while found[1 + at[s]] < low:
            at[s] += 1
    if start == TO_C:
        strip = max(1, min(strip, (high - low) * n // width))
    while low < high:
        stop = min(low + strip, high)
        if start == TO_C:
            sums = work - low * width
        if start != FROM_C:
            clear((stop - low) * width, sums + low * width)
        elif scale != 1:
            for i in range(low * width, stop * width):
                G[i] *= scale
        for s from 0 <= s < n by 2:
            found = list_of(layers, lists, s)
            if real is float:
                at[s] += add_listed_float(
                    min(2, n - s), width, stop, found + 1 + at[s], a + s * width_in + at[s],
                    width_in, delta + s * width, width, sums, width,
                )  # fmt: skip
            else:
                at[s] += add_listed_double(
                    min(2, n - s), width, stop, found + 1 + at[s], a + s * width_in + at[s],
                    width_in, delta + s * width, width, sums, width,
                )  # fmt: skip
            if ahead != NULL:
                fastbp_fetch(ahead, <int> (2 * (stop - low) // n + 1))
        if start == TO_C:
            for i in range(low * width, stop * width):
                G[i] = scale * G[i] + sums[i]
        low = stop
