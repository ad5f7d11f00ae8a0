# A block of samples on the parameter block: the algorithm of chapter 2, in matrix form. BP1 to BP4
# stand here, and once more for samples one at a time (public_arrays.pxi).
#
# W is a layer's matrix in the parameter block, (fan_in + 1, width), the last row the bias; `inputs`
# are the columns of the layer below in a row of the workspace, `outputs` those of the layer.


cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t thread_id, Py_ssize_t n_threads) noexcept nogil:
    """Return where a thread's share of n begins; the next one's begins where it ends."""
    return n * thread_id if n_threads == 1 else n * thread_id // n_threads


# -- forward ---------------------------------------------------------------------------


cdef void forward_block(
    const Layer[::1] layers,
    const real[::1] params,
    real[:, ::1] a,               # OUT  activations of every layer
    real[:, ::1] lists,           # OUT  of inputs (packed_inputs.pxi): the workspace's delta
    real* work,                   # WORK this thread's room in `transposed`
    Samples samples,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,          # IN   of sample 0 of the workspace in the order
    Py_ssize_t first,             # IN   even, if packed
    Py_ssize_t n,
    bint packed,                  # IN   whether by lists of inputs that are not 0,
    bint stay,                    # IN   and whether these inputs may stay where they are
    PrefetchQueue* queue,         # IN   to be fetched meanwhile; these samples are near then
    Options options,              # IN   of dropout, or None
    real[:, ::1] kept,            # OUT  with dropout: the activations before it,
    real[:, ::1] factors,         # OUT  and what they are multiplied by
) noexcept nogil:
    """Bring n samples, from the first on, and compute the activations of every layer."""
    cdef Py_ssize_t l, s
    if packed:
        forward_packed(
            layers, params, a, lists, work, samples, order, position, first, n, stay, queue
        )
    else:
        for s in range(first, first + n):
            load(samples, nth(order, position + s), a, s)
    for l in range(1, layers.shape[0]):
        if l > 1 or not packed:
            forward_layer(layers, l, params, a, a, FROM_ROW, first, n)
        activate(&layers[l], n, &a[first, layers[l].activation_offset], a.shape[1])
        if drops(options, l):
            drop(options, layers, l, position + first, a, kept, factors, first, n)


cdef inline void forward_layer(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[::1] params,
    const real[:, ::1] a,  # IN      columns of the inputs
    real[:, ::1] z,        # IN/OUT  columns of the outputs
    int start,             # IN      FROM_ROW: from the bias; FROM_C: added to what is there
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
    real[:, ::1] delta,    # IN/OUT  the error of the last layer; then of all but the input
    real* transposed,      # WORK
    Options options,             # IN   of dropout, or None
    const real[:, ::1] kept,     # IN   with dropout, as from forward_block
    const real[:, ::1] factors,  # IN
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Carry the error back: delta_{l-1} = (W_l delta_l) * slope(a_{l-1}) (BP2)."""
    cdef Py_ssize_t l, s, k, at
    cdef const Layer* below
    for l in range(layers.shape[0] - 1, 1, -1):
        below = &layers[l - 1]
        at = below.activation_offset
        backward_layer(layers, l, params, delta, transposed, delta, first, n)
        if drops(options, l - 1):
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
    real[:, ::1] previous,     # OUT  columns of the inputs, zero in the padding
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Compute previous = W delta, the error at the outputs of the layer below."""
    # Vectors over samples: a sum over outputs needs no horizontal sum that way.
    cdef const Layer* layer = &layers[l]
    cdef Py_ssize_t s, k, at = layers[l - 1].activation_offset
    cdef Py_ssize_t columns = whole_lines(n, sizeof(real))
    cdef real* transposed_previous = transposed + layer.fan_out * columns
    if columns > n:
        clear(layer.fan_out * columns, transposed)
    transpose(
        n, layer.fan_out, &delta[first, layer.activation_offset], delta.shape[1], transposed, columns
    )
    gemm(
        FROM_ZERO, layer.fan_in, columns, layer.fan_out, &params[layer.offset], layer.width, 1,
        <const real*> transposed, columns, transposed_previous, columns, <const real*> NULL,
        <real> 1, NULL,
    )  # fmt: skip
    transpose(
        layer.fan_in, n, <const real*> transposed_previous, columns, &previous[first, at],
        previous.shape[1],
    )  # fmt: skip
    for s in range(first, first + n):
        for k in range(at + layer.fan_in, at + layers[l - 1].width):
            previous[s, k] = 0


# -- the gradient ----------------------------------------------------------------------


cdef void add_gradient(
    const Layer[::1] layers,
    const real[:, ::1] a,      # IN      activations
    const real[:, ::1] delta,  # IN      errors
    real[:, ::1] lists,        # IN      of inputs, if packed
    Py_ssize_t n,
    int start,                 # IN      FROM_ZERO, or FROM_C to add to what is there
    real scale,                # IN      of the weights that are there
    real* work,                # WORK    this thread's room in `transposed`
    Py_ssize_t thread_id,      # IN      whose share of each layer's rows to compute,
    Py_ssize_t n_threads,      # IN      of so many
    real[::1] grads,           # IN/OUT
    bint packed,
    PrefetchQueue* queue,
) noexcept nogil:
    """Sum the gradient of n samples: dC/dW = a^T delta (BP4), dC/db = sum of delta (BP3).

    Where delta is scaled to steps, and grads are the parameters, that is the update itself.
    """
    cdef Py_ssize_t l, low, high, fan_in
    cdef const Layer* layer
    cdef real one = 1
    for l in range(1, layers.shape[0]):
        layer = &layers[l]
        fan_in = layer.fan_in
        low = share(fan_in + 1, thread_id, n_threads)
        high = share(fan_in + 1, thread_id + 1, n_threads)
        if packed and l == 1:  # BP4, inputs that are 0 left out
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
    """Compute a^T delta of layer l, from that start; not for the bias."""
    cdef const Layer* layer = &layers[l]
    cdef const real* inputs = &a[0, layers[l - 1].activation_offset + low]
    cdef Py_ssize_t x_row = 1, x_term = a.shape[1]
    if n >= TRANSPOSE_FROM and layer.width >= TRANSPOSE_FROM:
        # The terms of a sum, one input of all samples, side by side.
        x_row, x_term = whole_lines(n, sizeof(real)), 1
        transpose(n, high - low, inputs, a.shape[1], work, x_row)
        inputs = work
    gemm(
        start, high - low, layer.width, n, inputs, x_row, x_term,
        &delta[0, layer.activation_offset], delta.shape[1],
        &grads[layer.offset + low * layer.width], layer.width, <const real*> NULL, scale, queue,
    )  # fmt: skip


# -- one sample of the block -----------------------------------------------------------


cdef void bring_targets(
    const Layer[::1] layers,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,  # IN   of sample 0 of the workspace in the order
    Py_ssize_t first,
    Py_ssize_t n,
    real[:, ::1] delta,   # OUT  targets in place of the last error
) noexcept nogil:
    """Bring the targets of n samples, from the first on, to where `output_error` expects them."""
    cdef const Layer* output = &layers[layers.shape[0] - 1]
    cdef Py_ssize_t s, i, j
    for s in range(first, first + n):
        i = nth(order, position + s)
        for j in range(output.fan_out):
            delta[s, output.activation_offset + j] = Y[i, j]


cdef void scale_errors(
    const Layer[::1] layers, real[:, ::1] delta, Py_ssize_t s, real factor
) noexcept nogil:
    """Multiply the gradient of sample s: all its errors."""
    cdef Py_ssize_t l, j
    for l in range(1, layers.shape[0]):
        for j in range(layers[l].activation_offset, layers[l].activation_offset + layers[l].fan_out):
            delta[s, j] *= factor
