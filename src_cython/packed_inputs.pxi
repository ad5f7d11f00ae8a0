# A fast path: the first layer, for inputs many of which are 0, such as the pixels of digits: an
# image of MNIST sets 150 of 784. A term of 0 changes no sum, so leaving it out changes no bit.
# `packing_pays` is the predicate of this path; backprop.pxi and `train` call it.
#
# Each sample has a mask: which of its inputs are not 0. Each pair of samples, an even one and the
# next, has a list of uint16: the number of inputs that are not 0 in one of both, then which these
# are. Mask and list are stored in the columns of `delta` that belong to the inputs, whose errors
# nobody needs, behind the address of the sample's inputs. That is the user's own array, where its
# type is the network's, else a copy. Hence the pointers in this file.
#
# Masks are made from the samples as they are, or taken from packed nonzeros
# (fastbp/training/packing.py): a mask and the values that are not 0. For digits that is a fifth of
# the memory, which counts where samples come in random order.

cdef enum:
    LEAST_INPUTS = 64
    MOST_INPUTS = 65535  # as many as a list can name
    LOOKED_AT = 16  # samples, to decide by
    NARROW = 4  # vectors of a row at most that is narrow
    FETCHED = 12  # cache lines to prefetch for each pair of samples
    STRIP_BYTES = 32768  # of rows that stay in a near cache while all samples are added
    LEAST_STRIP = 64  # rows


cdef bint packing_pays(
    Samples samples, const Py_ssize_t[::1] order, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    """Return whether at most two thirds of the inputs would be listed, by the first samples.

    Measured: at 63 % (64 pixels of handwritten digits, half of them 0) a step takes 5 to 13 % less.
    """
    cdef Py_ssize_t n_0 = samples.n_0, some = 0, n = min(stop - start, LOOKED_AT), s, i, j, k
    if not FAST_PATHS or n_0 < LEAST_INPUTS or n_0 > MOST_INPUTS:
        return False
    if samples.packed is not None:
        return True
    for s from 0 <= s < n by 2:
        i, j = sample_at(order, start + s), sample_at(order, start + min(s + 1, n - 1))
        if samples.floats is not None:
            for k in range(n_0):
                some += (samples.floats[i, k] != 0) | (samples.floats[j, k] != 0)
        else:
            for k in range(n_0):
                some += (samples.doubles[i, k] != 0) | (samples.doubles[j, k] != 0)
    return 3 * some <= (n + 1) // 2 * 2 * n_0


cdef inline const real* in_place(Samples samples, Py_ssize_t i, real* kind) noexcept nogil:
    """Return the address of sample i, NULL if it is not of the network's type."""
    if real is float:
        return &samples.floats[i, 0] if samples.floats is not None else NULL
    else:
        return &samples.doubles[i, 0] if samples.doubles is not None else NULL


cdef inline const real** place_of(real[:, ::1] lists, Py_ssize_t s) noexcept nogil:
    """Return where the address of the inputs of sample s is stored."""
    return <const real**> &lists[s, 0]


cdef inline uint32_t* mask_of(real[:, ::1] lists, Py_ssize_t s) noexcept nogil:
    """Return the mask of sample s: which of its inputs are not 0."""
    return <uint32_t*> (<char*> &lists[s, 0] + sizeof(void*))


cdef inline uint16_t* list_of(
    real[:, ::1] lists, Py_ssize_t s, Py_ssize_t n_0
) noexcept nogil:
    """Return the list of samples s, which is even, and s + 1: its length, then its items."""
    return <uint16_t*> (<char*> mask_of(lists, s) + mask_bytes(n_0))


cdef void forward_packed(
    const Layer[::1] layers,
    const real[::1] params,
    real[:, ::1] a,               # OUT  columns of the inputs, where they do not stay in place; of
    real[:, ::1] lists,           # OUT  layer 1 weighted inputs
    real* work,                   # WORK (n_0,)
    Samples samples,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,          # IN   in the order, of the sample in workspace row 0
    Py_ssize_t first,             # IN   first workspace row, even
    Py_ssize_t n,
    bint no_copy,                 # IN   whether inputs may be read from the user's array
    PrefetchQueue* queue,         # IN   NULL: each pair prefetches the next but one
) noexcept nogil:
    """Load n samples, list their nonzero inputs, compute z = a W + bias of the first layer."""
    cdef Py_ssize_t s, now, end = first + n
    # Each pair is summed while its list is in the first cache.
    for s from first <= s < end by 2:
        now = min(2, end - s)
        list_inputs(samples, order, position, s, now, no_copy, a, lists, work)
        if queue != NULL:
            prefetch_lines(queue, FETCHED)
        elif samples.packed is None and s + 6 <= end:
            prefetch_sample(samples, sample_at(order, position + s + 4))
            prefetch_sample(samples, sample_at(order, position + s + 5))
        sum_lists(layers, params, a, lists, s, now)
        if queue != NULL:
            prefetch_lines(queue, FETCHED)


cdef inline void prefetch_sample(Samples samples, Py_ssize_t i) noexcept nogil:
    if samples.floats is not None:
        prefetch_row(<const void*> &samples.floats[i, 0], samples.n_0 * sizeof(float))
    else:
        prefetch_row(<const void*> &samples.doubles[i, 0], samples.n_0 * sizeof(double))


cdef void list_inputs(
    Samples samples,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,  # IN   in the order, of the sample in workspace row 0
    Py_ssize_t first,     # IN   first workspace row, even
    Py_ssize_t n,
    bint no_copy,         # IN   whether inputs may be read from the user's array
    real[:, ::1] a,       # OUT
    real[:, ::1] lists,   # OUT
    real* work,           # WORK
) noexcept nogil:
    """Load n samples, into workspace rows from `first` on, and list their nonzero inputs."""
    cdef Py_ssize_t s, k, i, n_0 = samples.n_0, end = first + n
    cdef uint32_t* masks
    cdef const char* packed_row
    cdef const real* row
    cdef uint16_t* found
    for s in range(first, end):
        i = sample_at(order, position + s)
        masks = mask_of(lists, s)
        row = &a[s, 0]
        if samples.packed is not None:
            packed_row = <const char*> &samples.packed[samples.starts[i]]
            for k in range(mask_bytes(n_0) // 4):
                masks[k] = (<const uint32_t*> packed_row)[k]
            if real is float:
                unpack_row_float(n_0, packed_row, &a[s, 0])
            elif samples.floats is not None:
                unpack_row_float(n_0, packed_row, <float*> work)
                for k in range(n_0):
                    a[s, k] = (<float*> work)[k]
            else:
                unpack_row_double(n_0, packed_row, &a[s, 0])
        else:
            if no_copy:
                row = in_place(samples, i, work)
            if row == NULL or not no_copy:
                load(samples, i, a, s)
                row = &a[s, 0]
            if real is float:
                mask_float(n_0, row, masks)
            else:
                mask_double(n_0, row, masks)
        place_of(lists, s)[0] = row
    for s from first <= s < end by 2:
        found = list_of(lists, s, n_0)
        found[0] = <uint16_t> list_places(
            n_0, mask_of(lists, s), mask_of(lists, min(s + 1, end - 1)), found + 1
        )


cdef inline void sum_lists(
    const Layer[::1] layers,
    const real[::1] params,
    real[:, ::1] z,      # OUT  columns of layer 1
    real[:, ::1] lists,
    Py_ssize_t s,        # IN   even
    Py_ssize_t n,        # IN   1 or 2
) noexcept nogil:
    """Compute z = a W + bias of the first layer, for a pair of samples."""
    cdef const Layer* layer = &layers[1]
    cdef const real* W = &params[layer.offset]
    cdef const uint16_t* found = list_of(lists, s, layer.fan_in)
    cdef Py_ssize_t i
    if PLAIN_LOOPS:
        for i in range(s, s + n):
            plain_sum_list(
                layer, W, place_of(lists, i)[0], found[0], found + 1,
                &z[i, layer.activation_offset],
            )  # fmt: skip
    elif real is float:
        sum_listed_float(
            n, layer.width, found[0], found + 1, place_of(lists, s)[0],
            place_of(lists, s + n - 1)[0], W, layer.width, W + layer.fan_in * layer.width,
            &z[s, layer.activation_offset], z.shape[1],
        )  # fmt: skip
    else:
        sum_listed_double(
            n, layer.width, found[0], found + 1, place_of(lists, s)[0],
            place_of(lists, s + n - 1)[0], W, layer.width, W + layer.fan_in * layer.width,
            &z[s, layer.activation_offset], z.shape[1],
        )  # fmt: skip


cdef inline void plain_sum_list(
    const Layer* layer,
    const real* W,
    const real* x,           # IN   inputs of a sample
    Py_ssize_t n_listed,
    const uint16_t* listed,
    real* z,                 # OUT
) noexcept nogil:
    """Compute z_j = bias_j + the sum of x_k W[k, j] over the inputs k that are listed."""
    cdef real[STRIP] sums
    cdef Py_ssize_t first, n, p, k, j
    for first from 0 <= first < layer.width by STRIP:
        n = min(layer.width - first, STRIP)
        for j in range(n):
            sums[j] = W[layer.fan_in * layer.width + first + j]
        for p in range(n_listed):
            k = listed[p]
            for j in range(n):
                sums[j] += x[k] * W[k * layer.width + first + j]
        for j in range(n):
            z[first + j] = sums[j]


cdef void packed_gradient(
    const Layer[::1] layers,
    Py_ssize_t n,
    Py_ssize_t low,            # IN      the first and
    Py_ssize_t high,           # IN      past the last row to compute
    real[:, ::1] lists,
    const real[:, ::1] delta,
    int start,                 # IN      FROM_ZERO, or FROM_C to add to grads
    real scale,                # IN      factor of grads, if added to
    real* work,                # WORK    (high - low, n), and a row at least
    real[::1] grads,           # IN/OUT
    PrefetchQueue* queue,
) noexcept nogil:
    """Compute a^T delta (BP4) of the first layer, as `start` says."""
    cdef Py_ssize_t width = layers[1].width
    cdef real* G = &grads[layers[1].offset]
    if start == FROM_ZERO:
        clear((high - low) * width, G + low * width)
        scale = 1
    if low < high and 1 < n <= MOST_SAMPLES:
        rows_gradient(layers, n, low, high, lists, delta, scale, work, G, queue)
    elif low < high:
        strips_gradient(layers, n, low, high, lists, delta, start, scale, work, G, queue)


cdef void rows_gradient(
    const Layer[::1] layers,
    Py_ssize_t n,
    Py_ssize_t low,
    Py_ssize_t high,
    real[:, ::1] lists,
    const real[:, ::1] delta,
    real scale,
    real* work,
    real* G,
    PrefetchQueue* queue,
) noexcept nogil:
    """Compute each row that has a nonzero input in one of at most MOST_SAMPLES samples, in one go.

    A wide row takes only those samples whose input is not 0; narrow rows take all, tile by tile.
    """
    cdef Py_ssize_t first = low // 32, n_words = (high + 31) // 32 - first, width = layers[1].width
    cdef Py_ssize_t s, k, i
    cdef uint32_t* some = <uint32_t*> work  # a bit for each row: whether it has such an input
    cdef uint32_t* masks = some + n_words  # MOST_SAMPLES words together, one a sample
    cdef const uint32_t* mask
    cdef const real* d = &delta[0, layers[1].activation_offset]
    cdef void* rows[MOST_SAMPLES]
    for k in range(n_words):
        some[k] = 0
    for s in range(n):
        mask = mask_of(lists, s) + first
        for k in range(n_words):
            some[k] |= mask[k]
        rows[s] = <void*> (place_of(lists, s)[0] + 32 * first)
    some[0] &= <uint32_t> 0xffffffff << (low % 32)
    if high % 32:
        some[n_words - 1] &= ~(<uint32_t> 0xffffffff << (high % 32))
    G += 32 * first * width
    if scale != 1:
        for k in range(low - 32 * first, high - 32 * first):
            if not some[k // 32] >> (k % 32) & 1:
                for i in range(k * width, (k + 1) * width):
                    G[i] *= scale
    if width * <Py_ssize_t> sizeof(real) > NARROW * VECTOR_BYTES:
        for k in range(n_words):
            for s in range(MOST_SAMPLES):
                masks[MOST_SAMPLES * k + s] = mask_of(lists, s)[first + k] if s < n else 0
        if real is float:
            add_wide_rows_float(
                n_words, some, masks, width, <const float**> rows, d, delta.shape[1], scale, G,
                queue,
            )
        else:
            add_wide_rows_double(
                n_words, some, masks, width, <const double**> rows, d, delta.shape[1], scale, G,
                queue,
            )
    elif real is float:
        add_rows_float(
            n_words, some, n, width, <const float**> rows, d, delta.shape[1], scale, G,
            <uint16_t*> masks, queue,
        )  # fmt: skip
    else:
        add_rows_double(
            n_words, some, n, width, <const double**> rows, d, delta.shape[1], scale, G,
            <uint16_t*> masks, queue,
        )  # fmt: skip


cdef void strips_gradient(
    const Layer[::1] layers,
    Py_ssize_t n,
    Py_ssize_t low,
    Py_ssize_t high,
    real[:, ::1] lists,
    const real[:, ::1] delta,
    int start,
    real scale,
    real* work,
    real* G,
    PrefetchQueue* queue,
) noexcept nogil:
    """Add pairs of samples to a strip of rows at a time, which stays in a near cache."""
    cdef Py_ssize_t width = layers[1].width, n_0 = layers[0].fan_out, i, s, stop
    cdef Py_ssize_t strip = max(LEAST_STRIP, STRIP_BYTES // (width * <Py_ssize_t> sizeof(real)))
    cdef const uint16_t* found
    cdef real* sums = G  # row 0 of these
    cdef Py_ssize_t[BLOCK] at
    cdef bint apart = start == FROM_C and n > 1
    for s from 0 <= s < n by 2:
        found = list_of(lists, s, n_0)
        at[s] = 0
        while found[1 + at[s]] < low:
            at[s] += 1
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
            found = list_of(lists, s, n_0)
            if real is float:
                at[s] += add_listed_float(
                    min(2, n - s), width, stop, found + 1 + at[s], place_of(lists, s)[0],
                    place_of(lists, min(s + 1, n - 1))[0],
                    &delta[s, layers[1].activation_offset], delta.shape[1], sums, width,
                )  # fmt: skip
            else:
                at[s] += add_listed_double(
                    min(2, n - s), width, stop, found + 1 + at[s], place_of(lists, s)[0],
                    place_of(lists, min(s + 1, n - 1))[0],
                    &delta[s, layers[1].activation_offset], delta.shape[1], sums, width,
                )  # fmt: skip
            if queue != NULL:
                prefetch(queue, <int> (2 * (stop - low) // n + 1))
        if apart:
            for i in range(low * width, stop * width):
                G[i] = scale * G[i] + sums[i]
        low = stop


def pack_nonzeros(
    Samples samples not None,
    Py_ssize_t start,               # IN   the first and
    Py_ssize_t stop,                # IN   past the last sample
    # OUT  byte offset of each sample, and of the end; IN  of sample `start`
    Py_ssize_t[::1] starts not None,
    uint8_t[::1] packed not None,      # OUT
):
    """Pack the nonzero inputs of samples; return of how many, before there is no more room."""
    cdef Py_ssize_t s = start, n_0 = samples.n_0, bytes
    # Of the longest, and what may be read behind it.
    cdef Py_ssize_t most = (n_0 + 64) * <Py_ssize_t> (sizeof(double) + 1) + LINE
    cdef fastbp_mode mode
    check_places(samples)
    if starts.shape[0] != samples.n + 1:
        wrong_length("starts", samples.n + 1, starts.shape[0])
    if not (0 <= start <= stop <= samples.n and 0 <= starts[start] <= packed.shape[0]):
        raise ValueError(
            error_message("start", f"a range within {samples.n} samples", (start, stop))
        )
    with nogil:
        mode = flush_subnormals()  # as where the inputs are read without these
        if LEAST_INPUTS <= n_0 <= MOST_INPUTS:
            while s < stop and starts[s] + most <= packed.shape[0]:
                if samples.floats is not None:
                    bytes = pack_row_float(n_0, &samples.floats[s, 0], <char*> &packed[starts[s]])
                else:
                    bytes = pack_row_double(n_0, &samples.doubles[s, 0], <char*> &packed[starts[s]])
                starts[s + 1] = starts[s] + (bytes + 7) // 8 * 8
                s += 1
        restore(mode)
    return s - start
