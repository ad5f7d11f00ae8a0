# Gradients of the cost: their sum over samples (squared or clipped, if asked for), one for each
# sample, their norms, with respect to the inputs, Hessian-vector products; and the activations and
# errors themselves. Each entry point does the forward and the backward pass block by block; all
# else follows from the activations a and the errors delta. The gradient with respect to a weight is
# a_k delta_j, to a bias delta_j (BP3, BP4), so a sample's squared norm is sum_l |delta_l|^2
# (|a_{l-1}|^2 + 1) (Goodfellow, 2015), and the gradient itself need not be computed.
#
# Every entry point has the same first nine arguments: IN params, layers; WORK workspace,
# transposed; IN samples, of which start to stop - 1 are taken; the cost and its weight. What it
# gives for each sample has a row for each of all samples, and rows start to stop - 1 are written.


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
    bint no_copy,          # IN   whether packed inputs may be read from the user's array
) noexcept nogil:
    """Do the forward and the backward pass of n samples, from the one at ``position`` on."""
    cdef const Layer* output = &layers[layers.shape[0] - 1]
    cdef Py_ssize_t s, at = output.activation_offset
    load_targets(layers, Y, UNSHUFFLED, position, 0, n, delta)
    forward_block(  # without dropout, for which the last three arguments are
        layers, params, a, delta, transposed, samples, UNSHUFFLED, position, 0, n, packed, no_copy,
        NULL, <Options> None, a, a,
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
    """Return the inputs of layer l. Packed inputs, of layer 1, may be in the user's array."""
    if packed and l == 1:
        return place_of(delta, s)[0]
    return &a[s, layers[l - 1].activation_offset]


cdef double layer_squared_norm(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real[:, ::1] a,
    real[:, ::1] delta,
    Py_ssize_t s,
    bint packed,
) noexcept nogil:
    """Return the squared norm of sample s's gradient with respect to layer l's parameters."""
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
        total += layer_squared_norm(layers, l, a, delta, s, packed)
    return sqrt(total)


cdef void clip(
    const Layer[::1] layers,
    const real[:, ::1] a,
    real[:, ::1] delta,  # IN/OUT
    Py_ssize_t first,
    Py_ssize_t n,
    bint packed,
    double max_norm,
    real* norms,         # OUT  (n,) norms before clipping, or NULL
) noexcept nogil:
    """Scale down the gradient of each sample whose norm is above ``max_norm``."""
    cdef Py_ssize_t s
    cdef double size
    for s in range(first, first + n):
        size = norm(layers, a, delta, s, packed)
        if norms != NULL:
            norms[s - first] = <real> size
        if size > max_norm:
            scale_errors(layers, delta, s, <real> (max_norm / size))


def gradient_norms(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[:, ::1] out not None,  # OUT  (n, 1), or a column for each layer but the input
):  # fmt: skip
    """Compute the norm of each sample's gradient."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = targets_of(samples, layers.table, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, l
    # Of a network of one layer both forms are the same.
    cdef bint per_layer = out.shape[1] != 1 or layers.table.shape[0] == 2, packed
    cdef fastbp_mode mode
    check_shape("out", samples.n, layers.table.shape[0] - 1 if per_layer else 1, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, UNSHUFFLED, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                layers.table, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                cost, cost_weight, packed, True,
            )  # fmt: skip
            for s in range(n):
                if not per_layer:
                    out[position + s, 0] = <real> norm(layers.table, a, delta, s, packed)
                    continue
                for l in range(1, layers.table.shape[0]):
                    out[position + s, l - 1] = <real> sqrt(
                        layer_squared_norm(layers.table, l, a, delta, s, packed)
                    )
        restore(mode)


# -- sums over samples -----------------------------------------------------------------


def gradient(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[::1] grads not None,   # OUT  the sum; IN/OUT, added to, if start > 0
    bint squared=False,         # IN   whether to sum the squares of samples' gradients
    double max_norm=INFINITY,   # IN   to which each sample's gradient is clipped
    real[::1] norms=None,       # OUT  (n,) norms before clipping, or None
):  # fmt: skip
    """Sum the gradients of samples."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    check_block("grads", layers, grads)
    cdef const real[:, ::1] Y = targets_of(samples, layers.table, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, j, first = layers.table[1].activation_offset
    cdef bint packed
    cdef fastbp_mode mode
    if norms is not None and norms.shape[0] != samples.n:
        wrong_length("norms", samples.n, norms.shape[0])
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, UNSHUFFLED, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                layers.table, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                cost, cost_weight, packed, not squared,
            )  # fmt: skip
            if norms is not None or max_norm < INFINITY:
                clip(
                    layers.table, a, delta, 0, n, packed, max_norm,
                    NULL if norms is None else &norms[position],
                )  # fmt: skip
            if squared:  # (a_k delta_j)^2 = a_k^2 delta_j^2
                for s in range(n):
                    for j in range(a.shape[1]):
                        a[s, j] *= a[s, j]
                    for j in range(first, delta.shape[1]):
                        delta[s, j] *= delta[s, j]
            add_gradient(  # BP3, BP4
                layers.table, a, delta, delta, n, FROM_C if position else FROM_ZERO, <real> 1,
                &transposed[0, 0], 0, 1, grads, packed, NULL,
            )  # fmt: skip
        restore(mode)


# -- by sample -------------------------------------------------------------------------


# An output array with a contiguous row for each sample, that of sample s from start + stride * s
# bytes on. Outputs come as lists, an array for each layer, of any row stride: hence addresses. All
# are checked before the first block of samples.
cdef struct OutputRows:
    char* start
    Py_ssize_t stride


cdef OutputRows* allocate_output_rows(list arrays, Py_ssize_t n_arrays) except NULL:
    """Allocate so many OutputRows; the caller frees them."""
    if len(arrays) != n_arrays:
        wrong_length("out", n_arrays, len(arrays))
    cdef OutputRows* rows = <OutputRows*> malloc(n_arrays * sizeof(OutputRows))
    if rows == NULL:
        raise MemoryError
    return rows


cdef OutputRows output_rows(array, Py_ssize_t n, Py_ssize_t width, Py_ssize_t itemsize) except *:
    """Check an array (n, width), of contiguous rows at any stride; return where it is."""
    cdef Py_buffer view
    cdef OutputRows rows
    cdef bint good
    refuse_stale("out", array)
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_WRITABLE | PyBUF_FORMAT)
    good = (
        view.ndim == 2 and view.shape[0] == n and view.shape[1] == width
        and view.itemsize == itemsize and (view.format[0] == c"d" or view.format[0] == c"f")
        and (width == 1 or view.strides[1] == itemsize)
        and <uintptr_t> view.buf % itemsize == 0
    )  # fmt: skip
    rows = OutputRows(<char*> view.buf, view.strides[0] if view.ndim else 0)
    PyBuffer_Release(&view)
    if not good:
        raise ValueError(error_message("out", f"contiguous rows, ({n}, {width})", array.shape))
    return rows


cdef inline real* output_row(const OutputRows* rows, Py_ssize_t s, real* kind) noexcept nogil:
    """Return the row of sample s. Only the type of ``kind`` is used."""
    return <real*> (rows.start + s * rows.stride)


def layer_values(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    list out not None,  # OUT  (n, n_l) of each layer
    bint errors,        # IN   errors, of all layers but the input; or activations, of all
):  # fmt: skip
    """Copy the activations of all layers, or the errors."""
    cdef list held = []
    out = snapshot(out)
    hold_all(out, held)
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = None
    cdef const real[::1] weights = None
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, l, s, first = 1 if errors else 0
    cdef const Layer* layer
    cdef bint packed
    cdef fastbp_mode mode
    if errors:
        Y = targets_of(samples, layers.table, &workspace[0, 0, 0])
        weights = weights_of(samples, &workspace[0, 0, 0])
    cdef OutputRows* rows = allocate_output_rows(out, layers.table.shape[0] - first)
    try:
        for l in range(first, layers.table.shape[0]):
            rows[l - first] = output_rows(
                out[l - first], samples.n, layers.table[l].fan_out, sizeof(real)
            )
        with nogil:
            mode = flush_subnormals()
            packed = packing_pays(samples, UNSHUFFLED, start, stop)
            for position from start <= position < stop by a.shape[0]:
                n = min(a.shape[0], stop - position)
                if errors:
                    forward_backward(
                        layers.table, params, a, delta, &transposed[0, 0], samples, Y, weights,
                        position, n, cost, cost_weight, packed, True,
                    )  # fmt: skip
                else:
                    forward_block(
                        layers.table, params, a, delta, &transposed[0, 0], samples, UNSHUFFLED,
                        position, 0, n, packed, False, NULL, <Options> None, a, a,
                    )  # fmt: skip
                for l in range(first, layers.table.shape[0]):
                    layer = &layers.table[l]
                    for s in range(n):
                        copy(
                            layer.fan_out,
                            <const real*> &(delta if errors else a)[s, layer.activation_offset],
                            output_row(&rows[l - first], position + s, &a[0, 0]),
                        )
            restore(mode)
    finally:
        free(rows)


def sample_gradients(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    list out not None,  # OUT  (n, .) of each layer's biases, then of each layer's weights
):  # fmt: skip
    """Compute each sample's gradient."""
    cdef list held = []
    out = snapshot(out)
    hold_all(out, held)
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    cdef const real[:, ::1] Y = targets_of(samples, layers.table, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, l, s, last = layers.table.shape[0] - 1
    cdef const Layer* layer
    cdef const real* inputs
    cdef real* errors
    cdef bint packed
    cdef fastbp_mode mode
    cdef OutputRows* rows = allocate_output_rows(out, 2 * last)
    try:
        for l in range(last):
            layer = &layers.table[l + 1]
            rows[l] = output_rows(out[l], samples.n, layer.fan_out, sizeof(real))
            rows[last + l] = output_rows(
                out[last + l], samples.n, layer.fan_out * layer.fan_in, sizeof(real)
            )
        with nogil:
            mode = flush_subnormals()
            packed = packing_pays(samples, UNSHUFFLED, start, stop)
            for position from start <= position < stop by a.shape[0]:
                n = min(a.shape[0], stop - position)
                forward_backward(
                    layers.table, params, a, delta, &transposed[0, 0], samples, Y, weights,
                    position, n, cost, cost_weight, packed, True,
                )  # fmt: skip
                for s in range(n):
                    for l in range(1, last + 1):
                        layer = &layers.table[l]
                        errors = &delta[s, layer.activation_offset]
                        inputs = layer_inputs(layers.table, l, a, delta, s, packed)
                        copy(  # BP3
                            layer.fan_out, <const real*> errors,
                            output_row(&rows[l - 1], position + s, errors),
                        )  # fmt: skip
                        outer(  # BP4: delta_j a_k
                            layer, <const real*> errors, inputs,
                            output_row(&rows[last + l - 1], position + s, errors),
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


# -- with respect to the inputs --------------------------------------------------------


def input_gradient(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    real[:, ::1] out not None,  # OUT  (n, n_0) of the cost, or (n n_L, n_0) of each output
    bint of_outputs,            # IN
):  # fmt: skip
    """Compute the gradient of the cost, or of each output, with respect to the inputs."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    cdef const Layer[::1] table = layers.table
    cdef const Layer* output = &table[table.shape[0] - 1]
    cdef const real[:, ::1] Y = None
    cdef const real[::1] weights = None
    cdef real[:, ::1] a = workspace[0], delta = workspace[1]
    cdef Py_ssize_t position, n, s, j, k, at = output.activation_offset
    cdef Py_ssize_t n_backward = output.fan_out if of_outputs else 1
    cdef bint packed
    cdef fastbp_mode mode
    if not of_outputs:
        Y = targets_of(samples, table, &workspace[0, 0, 0])
        weights = weights_of(samples, &workspace[0, 0, 0])
    check_shape("out", samples.n * n_backward, samples.n_0, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, UNSHUFFLED, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            if of_outputs:
                forward_block(
                    table, params, a, delta, &transposed[0, 0], samples, UNSHUFFLED, position, 0, n,
                    packed, True, NULL, <Options> None, a, a,
                )  # fmt: skip
            else:
                forward_backward(
                    table, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n,
                    cost, cost_weight, packed, True,
                )  # fmt: skip
            for j in range(n_backward):
                if of_outputs:  # of the cost C = a_j, dC/da is a unit vector
                    for s in range(n):
                        clear(output.width, &delta[s, at])
                        delta[s, at + j] = 1
                    multiply_by_slope(
                        output, n, <const real*> &a[0, at], a.shape[1], &delta[0, at],
                        delta.shape[1],
                    )  # fmt: skip
                    backward_block(
                        table, params, a, delta, &transposed[0, 0], <Options> None, a, a, 0, n
                    )
                # This overwrites the lists of nonzero inputs.
                backward_layer(table, 1, params, delta, &transposed[0, 0], delta, 0, n)
                for s in range(n):
                    for k in range(samples.n_0):
                        out[(position + s) * n_backward + j, k] = delta[s, k]
        restore(mode)


# -- the Hessian -----------------------------------------------------------------------


def hessian_product(
    const real[::1] params not None, Layers layers not None, real[:, :, ::1] workspace not None,
    real[:, ::1] transposed not None, Samples samples not None,
    Py_ssize_t start, Py_ssize_t stop, int cost, double cost_weight,
    const real[::1] v not None,  # IN   laid out as the parameters
    real[::1] out not None,      # OUT  the sum; IN/OUT, added to, if start > 0
):  # fmt: skip
    """Sum the Hessian-vector products of samples.

    Pearlmutter's R-operator (1994): the derivative along v of each equation of backpropagation. The
    workspace has six buffers: a, delta, R{z}, R{a}, R{delta}, and one for work.
    """
    check_buffers(layers, params, workspace, transposed, 6, 1)
    check_samples(samples, layers.table)
    check_range(start, stop, samples)
    check_block("v", layers, v)
    check_block("out", layers, out)
    cdef const real[:, ::1] Y = targets_of(samples, layers.table, &workspace[0, 0, 0])
    cdef const real[::1] weights = weights_of(samples, &workspace[0, 0, 0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1], dz = workspace[2]
    cdef real[:, ::1] da = workspace[3], ddelta = workspace[4], work = workspace[5]
    cdef const Layer[::1] table = layers.table
    cdef Py_ssize_t position, n
    cdef bint packed
    cdef fastbp_mode mode
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, UNSHUFFLED, start, stop)
        for position from start <= position < stop by a.shape[0]:
            n = min(a.shape[0], stop - position)
            forward_backward(
                table, params, a, delta, &transposed[0, 0], samples, Y, weights, position, n, cost,
                cost_weight, packed, True,
            )  # fmt: skip
            forward_change(table, params, v, a, delta, dz, da, n, packed)
            backward_change(
                table, params, v, Y, position, a, delta, dz, da, ddelta, work, &transposed[0, 0],
                n, cost, cost_weight,
            )  # fmt: skip
            add_gradient(  # delta holds the lists of nonzero inputs
                table, a, ddelta, delta, n, FROM_C if position else FROM_ZERO, <real> 1,
                &transposed[0, 0], 0, 1, out, packed, NULL,
            )  # fmt: skip
            add_change(table, da, delta, n, &transposed[0, 0], out)
        restore(mode)


cdef void forward_change(
    const Layer[::1] layers,
    const real[::1] params,
    const real[::1] v,
    const real[:, ::1] a,
    real[:, ::1] delta,  # IN   holds the lists of nonzero inputs
    real[:, ::1] dz,     # OUT
    real[:, ::1] da,     # OUT
    Py_ssize_t n,
    bint packed,
) noexcept nogil:
    """Compute dz_l = a_{l-1} V + da_{l-1} W, where da_0 = 0, and da_l = sigma'(z_l) dz_l."""
    cdef Py_ssize_t l, s, at
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
            copy(layers[l].width, <const real*> &dz[s, at], &da[s, at])
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
    """Compute ddelta_{l-1} = (W ddelta_l + V delta_l) sigma' + delta_{l-1} dz sigma'' / sigma'."""
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
    """Add da^T delta, the second term of R{a^T delta}."""
    cdef Py_ssize_t l
    for l in range(2, layers.shape[0]):
        layer_gradient(
            layers, l, n, 0, layers[l].fan_in, da, delta, FROM_C, <real> 1, work, out, NULL
        )
