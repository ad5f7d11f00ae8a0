# The first layer for inputs many of which are 0, such as the pixels of digits: of 784 a MNIST
# image sets 150. A term of 0 changes no sum, so what is left out changes no bit.
#
# For each pair of samples, an even one and the next, there is a list of uint16: at how many
# places one of both is not 0, and which. It lies where the errors of the inputs would be, which
# nothing asks for, in the row of the even sample. What is at these places of the inputs, and
# that alone, lies where all inputs of the two would be.

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


cdef void list_inputs(
    const Pass* run,
    Py_ssize_t position,  # IN   of sample 0 in the order
    Py_ssize_t first,     # IN   even
    Py_ssize_t n,
    real* a,              # OUT  (., width_in) of each sample, the inputs that are listed
    real* lists,          # OUT
) noexcept nogil:
    """Bring n samples, from the first on, and their lists."""
    cdef Py_ssize_t s, other, width_in = run.layers[0].width
    cdef uint16_t* found
    cdef const real* x
    cdef const real* y
    for s from first <= s < first + n by 2:
        other = min(s + 1, first + n - 1)
        x = sample(run.inputs, nth(run, position + s), a + s * width_in)
        y = sample(run.inputs, nth(run, position + other), a + other * width_in)
        found = list_of(run.layers, lists, s)
        if real is float:
            found[0] = <uint16_t> list_nonzeros_float(
                run.inputs.n_0, x, y, found + 1, a + s * width_in, a + other * width_in
            )
        else:
            found[0] = <uint16_t> list_nonzeros_double(
                run.inputs.n_0, x, y, found + 1, a + s * width_in, a + other * width_in
            )


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
