# A block of samples on the parameter block: the algorithm of chapter 2, in matrix form. BP2 to BP4
# are here, BP1 is `output_error` (functions.pxi). They are written once more for samples one at a
# time (public_arrays.pxi), and again in the two fast paths.
#
# W is a layer's matrix in the parameter block, (fan_in + 1, width), whose last row holds the
# biases. `inputs` are the workspace columns of the layer below, `outputs` those of the layer
# itself.


cdef inline Py_ssize_t share(
    Py_ssize_t n, Py_ssize_t thread_id, Py_ssize_t n_threads
) noexcept nogil:
    """Return the first of n items of a thread; the next thread's first is one past its last."""
    # A single thread divides nothing.
    return n * thread_id if n_threads == 1 else n * thread_id // n_threads


# -- forward ---------------------------------------------------------------------------


cdef void forward_block(
    const Layer[::1] layers,
    const real[::1] params,
    real[:, ::1] a,               # OUT  activations of every layer
    real[:, ::1] lists,           # OUT  of nonzero inputs (packed_inputs.pxi), in delta
    real* work,                   # WORK of this thread: its row of `transposed`
    Samples samples,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,          # IN   in the order, of the sample in workspace row 0
    Py_ssize_t first,             # IN   first workspace row; even, if packed
    Py_ssize_t n,
    bint packed,                  # IN   whether to use the lists of nonzero inputs
    bint no_copy,                 # IN   whether inputs may be read from the user's array
    PrefetchQueue* queue,         # IN   what to prefetch; these samples are in the cache then
    Options options,              # IN   of dropout, or None
    real[:, ::1] kept,            # OUT  with dropout: activations before it
    real[:, ::1] factors,         # OUT  with dropout: what they are multiplied by
) noexcept nogil:
    """Load n samples, into workspace rows from `first` on, and do the forward pass."""
    cdef Py_ssize_t l, s
    if packed:
        forward_packed(
            layers, params, a, lists, work, samples, order, position, first, n, no_copy, queue
        )
    else:
        for s in range(first, first + n):
            load(samples, sample_at(order, position + s), a, s)
    for l in range(1, layers.shape[0]):
        if l > 1 or not packed:
            forward_layer(layers, l, params, a, a, FROM_ROW, first, n)
        activate(&layers[l], n, &a[first, layers[l].activation_offset], a.shape[1])
        if has_dropout(options, l):
            apply_dropout(options, layers, l, position + first, a, kept, factors, first, n)


cdef inline void forward_layer(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[::1] params,
    const real[:, ::1] a,  # IN      columns of the inputs
    real[:, ::1] z,        # IN/OUT  columns of the outputs
    int start,             # IN      FROM_ROW: z = a W + bias; FROM_C: z += a W
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Compute z = a W + bias, the weighted inputs of layer l."""
    cdef const Layer* layer = &layers[l]
    cdef const real* W = &params[layer.offset]
    gemm(
        start, n, layer.width, layer.fan_in, &a[first, layers[l - 1].activation_offset],
        a.shape[1], 1, W, layer.width, &z[first, layer.activation_offset], z.shape[1],
        W + layer.fan_in * layer.width, <real> 1, NULL,
    )  # fmt: skip


# -- backward --------------------------------------------------------------------------


cdef void backward_block(
    const Layer[::1] layers,
    const real[::1] params,
    const real[:, ::1] a,  # IN      activations
    real[:, ::1] delta,    # IN/OUT  IN of the output layer, OUT of all but the input layer
    real* transposed,      # WORK
    Options options,             # IN   of dropout, or None
    const real[:, ::1] kept,     # IN   activations before dropout
    const real[:, ::1] factors,  # IN   of dropout
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Backpropagate: delta_{l-1} = (W_l delta_l) * sigma'(z_{l-1}) (BP2).

    W is the transpose of the book's w, and the slope sigma'(z) is computed from a.
    """
    cdef Py_ssize_t l, s, k, at
    cdef const Layer* below
    for l in range(layers.shape[0] - 1, 1, -1):
        below = &layers[l - 1]
        at = below.activation_offset
        backward_layer(layers, l, params, delta, transposed, delta, first, n)
        if has_dropout(options, l - 1):
            for s in range(first, first + n):
                for k in range(at, at + below.width):
                    delta[s, k] *= factors[s, k]
            multiply_by_slope(
                below, n, &kept[first, at], kept.shape[1], &delta[first, at], delta.shape[1]
            )
        else:
            multiply_by_slope(
                below, n, &a[first, at], a.shape[1], &delta[first, at], delta.shape[1]
            )


cdef inline void backward_layer(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[::1] params,
    const real[:, ::1] delta,  # IN   columns of the outputs
    real* transposed,          # WORK (fan_out + fan_in, n padded to whole lines)
    real[:, ::1] below,        # OUT  columns of the inputs, zero in the padding
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Compute W delta = dC/da of the layer below; its slope is still to be multiplied by."""
    # Vectorised over samples, so that no vector need be summed.
    cdef const Layer* layer = &layers[l]
    cdef Py_ssize_t s, k, at = layers[l - 1].activation_offset
    cdef Py_ssize_t columns = whole_lines(n, sizeof(real))
    cdef real* transposed_below = transposed + layer.fan_out * columns
    if columns > n:
        clear(layer.fan_out * columns, transposed)
    transpose(
        n, layer.fan_out, &delta[first, layer.activation_offset], delta.shape[1], transposed,
        columns,
    )  # fmt: skip
    gemm(
        FROM_ZERO, layer.fan_in, columns, layer.fan_out, &params[layer.offset], layer.width, 1,
        <const real*> transposed, columns, transposed_below, columns, <const real*> NULL, <real> 1,
        NULL,
    )  # fmt: skip
    transpose(
        layer.fan_in, n, <const real*> transposed_below, columns, &below[first, at], below.shape[1],
    )  # fmt: skip
    for s in range(first, first + n):
        clear(layers[l - 1].width - layer.fan_in, &below[s, at + layer.fan_in])


# -- the gradient ----------------------------------------------------------------------


cdef void add_gradient(
    const Layer[::1] layers,
    const real[:, ::1] a,      # IN      activations
    const real[:, ::1] delta,  # IN      errors
    real[:, ::1] lists,        # IN      of nonzero inputs, if packed
    Py_ssize_t n,
    int start,                 # IN      FROM_ZERO, or FROM_C to add to grads
    real scale,                # IN      factor of grads, but for biases, if added to
    real* work,                # WORK    of this thread: its row of `transposed`
    Py_ssize_t thread_id,      # IN      each thread has a share of every layer's rows
    Py_ssize_t n_threads,      # IN
    real[::1] grads,           # IN/OUT
    bint packed,
    PrefetchQueue* queue,
) noexcept nogil:
    """Sum the gradient of n samples: dC/dW = a^T delta (BP4), dC/db = sum of delta (BP3).

    If delta is scaled by -eta/n, and grads are the parameters, that is the update itself.
    """
    cdef Py_ssize_t l, low, high, fan_in
    cdef const Layer* layer
    cdef real one = 1
    for l in range(1, layers.shape[0]):
        layer = &layers[l]
        fan_in = layer.fan_in
        low = share(fan_in + 1, thread_id, n_threads)
        high = share(fan_in + 1, thread_id + 1, n_threads)
        if packed and l == 1:  # BP4, without inputs that are 0
            packed_gradient(
                layers, n, low, min(high, fan_in), lists, delta, start, scale, work, grads, queue
            )
        else:  # BP4
            layer_gradient(
                layers, l, n, low, min(high, fan_in), a, delta, start, scale, work, grads,
                queue if l == 1 else NULL,
            )  # fmt: skip
        if high > fan_in:  # BP3
            gemm(
                start, 1, layer.width, n, <const real*> &one, 0, 0,
                &delta[0, layer.activation_offset], delta.shape[1],
                &grads[layer.offset + fan_in * layer.width], layer.width, <const real*> NULL, one,
                NULL,
            )  # fmt: skip


cdef inline void layer_gradient(
    const Layer[::1] layers,
    Py_ssize_t l,
    Py_ssize_t n,
    Py_ssize_t low,            # IN      the first and
    Py_ssize_t high,           # IN      past the last row to compute
    const real[:, ::1] a,      # IN      columns of the inputs
    const real[:, ::1] delta,  # IN      columns of the outputs, zero in the padding
    int start,
    real scale,
    real* work,                # WORK    (high - low, n padded to whole lines)
    real[::1] grads,           # IN/OUT
    PrefetchQueue* queue,
) noexcept nogil:
    """Compute a^T delta of layer l, the gradient of the weights, as `start` says."""
    cdef const Layer* layer = &layers[l]
    cdef const real* inputs = &a[0, layers[l - 1].activation_offset + low]
    cdef Py_ssize_t x_row = 1, x_term = a.shape[1]
    if n >= TRANSPOSE_FROM and layer.width >= TRANSPOSE_FROM:
        # The values of one input for all samples, the terms of a sum, are then contiguous.
        x_row, x_term = whole_lines(n, sizeof(real)), 1
        transpose(n, high - low, inputs, a.shape[1], work, x_row)
        inputs = work
    gemm(
        start, high - low, layer.width, n, inputs, x_row, x_term,
        &delta[0, layer.activation_offset], delta.shape[1],
        &grads[layer.offset + low * layer.width], layer.width, <const real*> NULL, scale, queue,
    )  # fmt: skip


# -- targets and weights of samples ----------------------------------------------------


cdef void load_targets(
    const Layer[::1] layers,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,  # IN   in the order, of the sample in workspace row 0
    Py_ssize_t first,
    Py_ssize_t n,
    real[:, ::1] delta,   # OUT  columns of the output layer
) noexcept nogil:
    """Copy the targets of n samples to where `output_error` replaces them by the error."""
    cdef const Layer* output = &layers[layers.shape[0] - 1]
    cdef Py_ssize_t s, i, j
    for s in range(first, first + n):
        i = sample_at(order, position + s)
        for j in range(output.fan_out):
            delta[s, output.activation_offset + j] = Y[i, j]


cdef void scale_errors(
    const Layer[::1] layers, real[:, ::1] delta, Py_ssize_t s, real factor
) noexcept nogil:
    """Scale the gradient of sample s, by scaling all its errors."""
    cdef Py_ssize_t l, j, at
    for l in range(1, layers.shape[0]):
        at = layers[l].activation_offset
        for j in range(at, at + layers[l].fan_out):
            delta[s, j] *= factor
