# Gradients in other forms than their sum over a mini-batch: clipped, squared, norms, one for each
# sample, by the inputs, and what the Hessian does to a vector. Each carries samples forward and
# backward, block by block; all else follows from the activations a and the errors delta. The gradient
# by a weight is a_k delta_j, by a bias delta_j (BP3, BP4), so a sample's squared norm is
# sum_l |delta_l|^2 (|a_{l-1}|^2 + 1) (Goodfellow, 2015), and no gradient need exist for it.
#
# All take the same first nine arguments: IN params, layers; WORK workspace, transposed; IN samples, the
# first of them and past the last, start to stop; the cost and its weight. Outputs have a row for each of
# the samples, of which rows start to stop are written.


cdef void forward_backward(
    const Layer[::1] layers,
    const real[::1] params,
    real[:, ::1] a,        # OUT
    real[:, ::1] delta,    # OUT
    real* transposed,      # WORK
    Samples samples,
    const real[:, ::1] Y,
    const real[::1] weights,
    Py_ssize_t position,
    Py_ssize_t n,
    int cost,
    double cost_weight,
    bint packed,
    bint stay,             # IN   whether packed inputs may stay where they are
) noexcept nogil:
    """Carry n samples, from the one at ``position`` on, forward and backward."""
    cdef const Layer* output = &layers[layers.shape[0] - 1]
    cdef Py_ssize_t s, at = output.activation_offset
    bring_targets(layers, Y, AS_THEY_ARE, position, 0, n, delta)
    forward_block(
        layers, params, a, delta, transposed, samples, AS_THEY_ARE, position, 0, n, packed, stay, NULL,
        <Options> None, a, a,
    )  # fmt: skip
    output_error(  # BP1
        cost, output, n, <const real*> &a[0, at], a.shape[1], <real> cost_weight, &delta[0, at],
        delta.shape[1],
    )  # fmt: skip
    backward_block(layers, params, a, delta, transposed, <Options> None, a, a, 0, n)  # BP2
    if weights is not None:
        for s in range(n):
            scale_errors(layers, delta, s, weights[position + s])


# -- norms -----------------------------------------------------------------------------


cdef const real* layer_inputs(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[:, ::1] a,
    real[:, ::1] delta,
    Py_ssize_t s,
    bint packed,
) noexcept nogil:
    """Return the inputs of layer l; packed, the first's may have stayed where they were."""
    if packed and l == 1:
        return place_of(delta, s)[0]
    return &a[s, layers[l - 1].activation_offset]


cdef double layer_squares(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[:, ::1] a,
    real[:, ::1] delta,
    Py_ssize_t s,
    bint packed,
) noexcept nogil:
    """Return the squared norm of sample s's gradient by the parameters of layer l."""
    return squares(
        layers[l].fan_out, <const real*> &delta[s, layers[l].activation_offset]
    ) * (1 + squares(layers[l].fan_in, layer_inputs(layers, l, a, delta, s, packed)))


cdef double norm(
    const Layer[::1] layers, const real[:, ::1] a, real[:, ::1] delta, Py_ssize_t s, bint packed
) noexcept nogil:
    """Return the norm of sample s's gradient."""
    cdef double total = 0
    cdef Py_ssize_t l
    for l in range(1, layers.shape[0]):
        total += layer_squares(layers, l, a, delta, s, packed)
    return sqrt(total)


cdef void clip(
    const Layer[::1] layers,
    const real[:, ::1] a,
    real[:, ::1] delta,  # IN/OUT
    Py_ssize_t first,
    Py_ssize_t n,
    bint packed,
    double most,
    real* norms,         # OUT  (n,) as they were, or NULL
) noexcept nogil:
    """Scale down the gradient of each sample whose norm is more than ``most``."""
    cdef Py_ssize_t s
    cdef double size
    for s in range(first, first + n):
        size = norm(layers, a, delta, s, packed)
        if norms != NULL:
            norms[s - first] = <real> size
        if size > most:
            scale_errors(layers, delta, s, <real> (most / size))


def gradient_norms(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[:, ::1] out not None,  # OUT  (n, 1), or by layer, (n, layers but the input)
):  # fmt: skip
    """Compute the norm of each sample's gradient."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = targets_of(samples, layers.rows, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, l
    cdef bint per_layer = out.shape[1] != 1 or layers.rows.shape[0] == 2, packed
    cdef fastbp_mode mode
    check_shape("out", samples.n, layers.rows.shape[0] - 1 if per_layer else 1, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, AS_THEY_ARE, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                layers.rows, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                cost, cost_weight, packed, True,
            )  # fmt: skip
            for s in range(n):
                if not per_layer:
                    out[position + s, 0] = <real> norm(layers.rows, a, delta, s, packed)
                    continue
                for l in range(1, layers.rows.shape[0]):
                    out[position + s, l - 1] = <real> sqrt(
                        layer_squares(layers.rows, l, a, delta, s, packed)
                    )
        restore(mode)


cdef int check_shape(
    str where, Py_ssize_t n_rows, Py_ssize_t n_columns, real[:, ::1] array
) except -1:
    if array.shape[0] != n_rows or array.shape[1] != n_columns:
        raise ValueError(
            error_message(where, f"shape ({n_rows}, {n_columns})", (array.shape[0], array.shape[1]))
        )
    return 0


# -- sums over samples -----------------------------------------------------------------


def gradient(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[::1] grads not None,   # OUT  the sum of samples 0 to stop; IN/OUT if start > 0
    bint squared=False,         # IN   the sum of squares, parameter by parameter
    double max_norm=INFINITY,   # IN   of a sample's gradient
    real[::1] norms=None,       # OUT  (n,) before they are clipped, or None
):  # fmt: skip
    """Sum the gradients of samples; clipped, if there is a place for their norms."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    check_block("grads", layers, grads)
    cdef const real[:, ::1] Y = targets_of(samples, layers.rows, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, j, first = layers.rows[1].activation_offset
    cdef bint packed
    cdef fastbp_mode mode
    if norms is not None and norms.shape[0] != samples.n:
        wrong_length("norms", samples.n, norms.shape[0])
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, AS_THEY_ARE, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                layers.rows, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                cost, cost_weight, packed, not squared,
            )  # fmt: skip
            if norms is not None:
                clip(layers.rows, a, delta, 0, n, packed, max_norm, &norms[position])
            if squared:  # (a_k delta_j)^2 = a_k^2 delta_j^2
                for s in range(n):
                    for j in range(a.shape[1]):
                        a[s, j] *= a[s, j]
                    for j in range(first, delta.shape[1]):
                        delta[s, j] *= delta[s, j]
            add_gradient(  # BP3, BP4
                layers.rows, a, delta, delta, n, FROM_C if position else FROM_ZERO, <real> 1,
                &transposed[0, 0], 0, 1, grads, packed, NULL,
            )  # fmt: skip
        restore(mode)


# -- by sample -------------------------------------------------------------------------


# Where a value for each sample goes: contiguous from start + stride * s bytes on. Outputs have any
# distance between rows and come as lists, one for each layer, hence addresses; all are looked at
# before the first block of samples.
cdef struct Rows:
    char* start
    Py_ssize_t stride


cdef Rows* rows_of(list arrays, Py_ssize_t n_arrays) except NULL:
    """Return room to say where the rows of so many arrays lie; to be freed."""
    if len(arrays) != n_arrays:
        wrong_length("out", n_arrays, len(arrays))
    cdef Rows* rows = <Rows*> malloc(n_arrays * sizeof(Rows))
    if rows == NULL:
        raise MemoryError
    return rows


cdef Rows rows_in(array, Py_ssize_t n, Py_ssize_t width, Py_ssize_t itemsize) except *:
    """Return where the rows of an array (n, width) lie: each contiguous, at any distance."""
    cdef Py_buffer view
    cdef Rows rows
    cdef bint good
    refuse_stale("out", array)
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_WRITABLE | PyBUF_FORMAT)
    good = (
        view.ndim == 2 and view.shape[0] == n and view.shape[1] == width
        and view.itemsize == itemsize and (view.format[0] == c"d" or view.format[0] == c"f")
        and (width == 1 or view.strides[1] == itemsize)
        and <uintptr_t> view.buf % itemsize == 0
    )  # fmt: skip
    rows = Rows(<char*> view.buf, view.strides[0] if view.ndim else 0)
    PyBuffer_Release(&view)
    if not good:
        raise ValueError(error_message("out", f"contiguous rows, ({n}, {width})", array.shape))
    return rows


cdef inline real* row_of(const Rows* rows, Py_ssize_t s, real* kind) noexcept nogil:
    """Return where the value of sample s goes, in the type of ``kind``."""
    return <real*> (rows.start + s * rows.stride)


def layer_values(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    list out not None,  # OUT  (n, n_l) of each layer, the input's too, or not of errors
    bint errors,        # IN
):  # fmt: skip
    """Compute the activations of all layers, or the errors."""
    cdef list held = []
    out = snapshot(out)
    hold_all(out, held)
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = None
    cdef const real[::1] weights = None
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, l, s, first = 1 if errors else 0
    cdef const Layer* layer
    cdef bint packed
    cdef fastbp_mode mode
    if errors:
        Y = targets_of(samples, layers.rows, &workspace[0, 0, 0])
        weights = weights_of(samples, &workspace[0, 0, 0])
    cdef Rows* rows = rows_of(out, layers.rows.shape[0] - first)
    try:
        for l in range(first, layers.rows.shape[0]):
            rows[l - first] = rows_in(
                out[l - first], samples.n, layers.rows[l].fan_out, sizeof(real)
            )
        with nogil:
            mode = flush_subnormals()
            packed = packing_pays(samples, AS_THEY_ARE, start, stop)
            for position from start <= position < stop by a.shape[0]:
                n = min(a.shape[0], stop - position)
                if errors:
                    forward_backward(
                        layers.rows, params, a, delta, &transposed[0, 0], samples, Y, weights,
                        position, n, cost, cost_weight, packed, True,
                    )  # fmt: skip
                else:
                    forward_block(
                        layers.rows, params, a, delta, &transposed[0, 0], samples, AS_THEY_ARE, position,
                        0, n, packed, False, NULL, <Options> None, a, a,
                    )  # fmt: skip
                for l in range(first, layers.rows.shape[0]):
                    layer = &layers.rows[l]
                    for s in range(n):
                        copy(
                            layer.fan_out,
                            <const real*> &(delta if errors else a)[s, layer.activation_offset],
                            row_of(&rows[l - first], position + s, &a[0, 0]),
                        )
            restore(mode)
    finally:
        free(rows)


def sample_gradients(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    list out not None,  # OUT  (n, .) by layer for biases, then for weights
):  # fmt: skip
    """Compute each sample's gradient."""
    cdef list held = []
    out = snapshot(out)
    hold_all(out, held)
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = targets_of(samples, layers.rows, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, l, s, last = layers.rows.shape[0] - 1
    cdef const Layer* layer
    cdef const real* inputs
    cdef real* errors
    cdef bint packed
    cdef fastbp_mode mode
    cdef Rows* rows = rows_of(out, 2 * last)
    try:
        for l in range(last):
            layer = &layers.rows[l + 1]
            rows[l] = rows_in(out[l], samples.n, layer.fan_out, sizeof(real))
            rows[last + l] = rows_in(
                out[last + l], samples.n, layer.fan_out * layer.fan_in, sizeof(real)
            )
        with nogil:
            mode = flush_subnormals()
            packed = packing_pays(samples, AS_THEY_ARE, start, stop)
            for position from start <= position < stop by a.shape[0]:
                n = min(a.shape[0], stop - position)
                forward_backward(
                    layers.rows, params, a, delta, &transposed[0, 0], samples, Y, weights,
                    position, n, cost, cost_weight, packed, True,
                )  # fmt: skip
                for s in range(n):
                    for l in range(1, last + 1):
                        layer = &layers.rows[l]
                        errors = &delta[s, layer.activation_offset]
                        inputs = layer_inputs(layers.rows, l, a, delta, s, packed)
                        copy(  # BP3
                            layer.fan_out, <const real*> errors,
                            row_of(&rows[l - 1], position + s, errors),
                        )  # fmt: skip
                        outer(  # BP4: delta_j a_k
                            layer, <const real*> errors, inputs,
                            row_of(&rows[last + l - 1], position + s, errors),
                        )  # fmt: skip
            restore(mode)
    finally:
        free(rows)


cdef inline void outer(
    const Layer* layer, const real* errors, const real* inputs, real* out
) noexcept nogil:
    if real is float:
        outer_float(layer.fan_out, layer.fan_in, errors, inputs, out)
    else:
        outer_double(layer.fan_out, layer.fan_in, errors, inputs, out)


# -- back to the inputs ----------------------------------------------------------------


def input_gradient(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[:, ::1] out not None,  # OUT  (n, n_0): the cost's gradient; (n * n_L, n_0): the outputs'
    bint of_outputs,            # IN
):  # fmt: skip
    """Compute the gradient by the inputs, of the cost or of each output: a vector-Jacobian product."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    cdef const Layer[::1] rows = layers.rows
    cdef const Layer* output = &rows[rows.shape[0] - 1]
    cdef const real[:, ::1] Y = None
    cdef const real[::1] weights = None
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, j, k, at = output.activation_offset
    cdef Py_ssize_t times = output.fan_out if of_outputs else 1
    cdef bint packed
    cdef fastbp_mode mode
    if not of_outputs:
        Y = targets_of(samples, rows, &workspace[0, 0, 0])
        weights = weights_of(samples, &workspace[0, 0, 0])
    check_shape("out", samples.n * times, samples.n_0, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, AS_THEY_ARE, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            if of_outputs:
                forward_block(
                    rows, params, a, delta, &transposed[0, 0], samples, AS_THEY_ARE, position, 0, n, packed,
                    True, NULL, <Options> None, a, a,
                )  # fmt: skip
            else:
                forward_backward(
                    rows, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                    cost, cost_weight, packed, True,
                )  # fmt: skip
            for j in range(times):
                if of_outputs:  # the error of a cost that is output j itself
                    for s in range(n):
                        clear(output.width, &delta[s, at])
                        delta[s, at + j] = 1
                    multiply_by_slope(
                        output, n, <const real*> &a[0, at], a.shape[1], &delta[0, at], delta.shape[1]
                    )
                    backward_block(rows, params, a, delta, &transposed[0, 0], <Options> None, a, a, 0, n)
                # To where the lists of inputs were.
                backward_layer(rows, 1, params, delta, &transposed[0, 0], delta, 0, n)
                for s in range(n):
                    for k in range(samples.n_0):
                        out[(position + s) * times + j, k] = delta[s, k]
        restore(mode)


# -- the Hessian -----------------------------------------------------------------------


def hessian_product(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    const real[::1] v not None,  # IN   laid out as the parameters
    real[::1] out not None,      # OUT  the sum of samples 0 to stop; IN/OUT if start > 0
):  # fmt: skip
    """Sum how the gradient changes along a direction v: the Hessian times it.

    Pearlmutter's R-operator (1994): the derivative along v of each equation of backpropagation. The
    workspace has six buffers: of each layer a and delta, how z, a and delta change, and work.
    """
    check_buffers(layers, params, workspace, transposed, 6, 1)
    check_samples(samples, layers.rows)
    check_range(start, stop, samples)
    check_block("v", layers, v)
    check_block("out", layers, out)
    cdef const real[:, ::1] Y = targets_of(samples, layers.rows, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1], dz = workspace[2]
    cdef real[:, ::1] da = workspace[3], ddelta = workspace[4], work = workspace[5]
    cdef const Layer[::1] rows = layers.rows
    cdef Py_ssize_t position, n
    cdef bint packed
    cdef fastbp_mode mode
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, AS_THEY_ARE, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                rows, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n, cost,
                cost_weight, packed, True,
            )  # fmt: skip
            forward_change(rows, params, v, a, delta, dz, da, n, packed)
            backward_change(
                rows, params, v, Y, position, a, delta, dz, da, ddelta, work, &transposed[0, 0],
                n, cost, cost_weight,
            )  # fmt: skip
            add_gradient(
                rows, a, ddelta, delta, n, FROM_C if position else FROM_ZERO, <real> 1,
                &transposed[0, 0], 0, 1, out, packed, NULL,
            )  # fmt: skip
            add_change(rows, da, delta, n, &transposed[0, 0], out)
        restore(mode)


cdef void forward_change(
    const Layer[::1] layers,
    const real[::1] params,
    const real[::1] v,
    const real[:, ::1] a,
    real[:, ::1] delta,  # IN   where the lists of inputs are
    real[:, ::1] dz,     # OUT
    real[:, ::1] da,     # OUT
    Py_ssize_t n,
    bint packed,
) noexcept nogil:
    """Compute dz_l = a_{l-1} V + da_{l-1} W, the inputs do not change, and da = slope * dz."""
    cdef Py_ssize_t l, s, j, at
    for l in range(1, layers.shape[0]):
        at = layers[l].activation_offset
        if packed and l == 1:
            for s from 0 <= s < n by 2:
                sum_lists(layers, v, dz, delta, s, min(2, n - s))
        else:
            forward_layer(layers, l, v, a, dz, FROM_ROW, 0, n)
        if l > 1:
            forward_layer(layers, l, params, da, dz, FROM_C, 0, n)
        for s in range(n):
            for j in range(at, at + layers[l].width):
                da[s, j] = dz[s, j]
        multiply_by_slope(
            &layers[l], n, <const real*> &a[0, at], a.shape[1], &da[0, at], da.shape[1]
        )


cdef void backward_change(
    const Layer[::1] layers,
    const real[::1] params,
    const real[::1] v,
    const real[:, ::1] Y,
    Py_ssize_t position,
    const real[:, ::1] a,
    const real[:, ::1] delta,
    const real[:, ::1] dz,
    const real[:, ::1] da,
    real[:, ::1] ddelta,  # OUT
    real[:, ::1] work,    # WORK
    real* transposed,     # WORK
    Py_ssize_t n,
    int cost,
    double cost_weight,
) noexcept nogil:
    """Compute ddelta_{l-1} = (W ddelta_l + V delta_l) * slope + delta_{l-1} * dz * curvature / slope."""
    cdef Py_ssize_t l, s, k, at = layers[layers.shape[0] - 1].activation_offset
    cdef const Layer* below
    for s in range(n):
        output_error_change(
            cost, &layers[layers.shape[0] - 1], &Y[position + s, 0], &a[s, at], &delta[s, at],
            &dz[s, at], &da[s, at], <real> cost_weight, &work[s, at], &ddelta[s, at],
        )  # fmt: skip
    for l in range(layers.shape[0] - 1, 1, -1):
        below = &layers[l - 1]
        at = below.activation_offset
        backward_layer(layers, l, params, ddelta, transposed, ddelta, 0, n)
        backward_layer(layers, l, v, delta, transposed, work, 0, n)
        for s in range(n):
            for k in range(at, at + below.width):
                ddelta[s, k] += work[s, k]
                work[s, k] = delta[s, k] * dz[s, k]
        multiply_by_slope(below, n, &a[0, at], a.shape[1], &ddelta[0, at], ddelta.shape[1])
        multiply_by_curvature(below, n, &a[0, at], a.shape[1], &work[0, at], work.shape[1])
        for s in range(n):
            for k in range(at, at + below.width):
                ddelta[s, k] += work[s, k]


cdef void add_change(
    const Layer[::1] layers,
    const real[:, ::1] da,
    const real[:, ::1] delta,
    Py_ssize_t n,
    real* work,
    real[::1] out,  # IN/OUT
) noexcept nogil:
    """Add da^T delta, the other half of how a^T delta changes."""
    cdef Py_ssize_t l
    for l in range(2, layers.shape[0]):
        layer_gradient(
            layers, l, n, 0, layers[l].fan_in, da, delta, FROM_C, <real> 1, work, out, NULL
        )
