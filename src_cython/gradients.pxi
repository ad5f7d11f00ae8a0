# Gradients as a product: sums, norms, one for each sample, what a Hessian does to a vector.
# Each pass carries the samples forward and backward, block by block; all else follows from the
# activations a and the errors delta in scratch. The gradient by a weight is a_k delta_j, by a
# bias delta_j (BP3, BP4), so a sample's squared norm is sum_l |delta_l|^2 (|a_{l-1}|^2 + 1)
# (Goodfellow, 2015), and no gradient need exist for it.


cdef void take(
    const Pass* run,
    const real* params,
    real* scratch,
    Py_ssize_t position,
    Py_ssize_t n,
    bint sparse,  # IN   whether by lists of inputs (sparse.pxi)
) noexcept nogil:
    """Carry n samples of the order forward and backward."""
    cdef const real* weights = <const real*> run.weights
    cdef Py_ssize_t s
    bring_targets(run, <const real*> run.Y, position, 0, n, scratch)
    block_forward(run, params, scratch, position, 0, n, NULL, sparse, NULL)
    block_errors(run.layers, run.last, scratch, run.rows, 0, n, run.cost, <real> run.scale)
    block_backward(
        params, run.layers, run.last, scratch, <real*> run.turned, run.rows, 0, n, NULL
    )
    if weights != NULL:
        for s in range(n):
            scale_errors(
                run.layers, run.last, scratch, run.rows, s, weights[run.order[position + s]]
            )


cdef void scale_errors(
    const Layer* layers,
    Py_ssize_t last,
    real* scratch,
    Py_ssize_t rows,
    Py_ssize_t s,
    real factor,
) noexcept nogil:
    """Multiply the gradient of sample s: all its errors."""
    cdef real* deltas = scratch + rows * total_width(layers, last)
    cdef real* delta
    cdef Py_ssize_t l, j
    for l in range(1, last + 1):
        delta = deltas + place(layers, l, rows, s)
        for j in range(layers[l].fan_out):
            delta[j] *= factor


# -- norms ---------------------------------------------------------------------------


cdef inline double squares(Py_ssize_t n, const real* values) noexcept nogil:
    """Return the sum of squares; a double, as that of floats may be beyond a float."""
    if real is float:
        return squares_float(n, values)
    else:
        return squares_double(n, values)


cdef const real* layer_inputs(
    const Pass* run,
    Py_ssize_t position,  # of sample 0 of scratch in the order
    const real* scratch,
    Py_ssize_t s,
    Py_ssize_t l,
) noexcept nogil:
    """Return the inputs of layer l; the first's from the source, where they may have stayed."""
    if l == 1:
        return sample(run.inputs, nth(run, position + s), <real*> run.turned)
    return scratch + place(run.layers, l - 1, run.rows, s)


cdef double layer_squares(
    const Pass* run, Py_ssize_t position, const real* scratch, Py_ssize_t s, Py_ssize_t l
) noexcept nogil:
    """Return the squared norm of sample s's gradient by the parameters of layer l."""
    cdef const Layer* layer = run.layers + l
    cdef const real* deltas = scratch + run.rows * total_width(run.layers, run.last)
    return squares(layer.fan_out, deltas + place(run.layers, l, run.rows, s)) * (
        1 + squares(layer.fan_in, layer_inputs(run, position, scratch, s, l))
    )


cdef double norm(
    const Pass* run, Py_ssize_t position, const real* scratch, Py_ssize_t s
) noexcept nogil:
    """Return the norm of sample s's gradient."""
    cdef double total = 0
    cdef Py_ssize_t l
    for l in range(1, run.last + 1):
        total += layer_squares(run, position, scratch, s, l)
    return sqrt(total)


cdef void clip(
    const Pass* run,
    Py_ssize_t position,  # of sample 0 of scratch in the order
    real* scratch,
    Py_ssize_t first,
    Py_ssize_t n,
    double most,
    real* norms,  # OUT  (n,) as they were, or NULL
) noexcept nogil:
    """Scale down the gradient of each sample whose norm is more than ``most``."""
    cdef Py_ssize_t s
    cdef double size
    for s in range(first, first + n):
        size = norm(run, position, scratch, s)
        if norms != NULL:
            norms[s - first] = <real> size
        if size > most:
            scale_errors(run.layers, run.last, scratch, run.rows, s, <real> (most / size))


cdef void norms(const Pass* run, bint per_layer, void* out) noexcept nogil:
    """Compute the norm of each sample's gradient, out (n,), or by layer, (n, last)."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        norms_of(run, <const float*> run.params, <float*> run.scratch, per_layer, <float*> out)
    else:
        norms_of(run, <const double*> run.params, <double*> run.scratch, per_layer, <double*> out)
    restore(mode)


cdef void norms_of(
    const Pass* run, const real* params, real* scratch, bint per_layer, real* out
) noexcept nogil:
    cdef Py_ssize_t position, n, s, l
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by run.rows:
        n = min(run.rows, run.n - position)
        take(run, params, scratch, position, n, sparse)
        for s in range(n):
            if not per_layer:
                out[position + s] = <real> norm(run, position, scratch, s)
                continue
            for l in range(1, run.last + 1):
                out[(position + s) * run.last + l - 1] = <real> sqrt(
                    layer_squares(run, position, scratch, s, l)
                )


# -- sums over samples ---------------------------------------------------------------


cdef void gradient(const Pass* run, const Sum* total) noexcept nogil:
    """Compute the gradient summed over the order, clipped or squared first where asked."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        gradient_of(run, total, <const float*> run.params, <float*> run.scratch)
    else:
        gradient_of(run, total, <const double*> run.params, <double*> run.scratch)
    restore(mode)


cdef void gradient_of(
    const Pass* run, const Sum* total, const real* params, real* scratch
) noexcept nogil:
    cdef Py_ssize_t units = total_width(run.layers, run.last), first = run.layers[1].unit
    cdef real* deltas = scratch + run.rows * units
    cdef real* sizes
    cdef Py_ssize_t position, n
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by run.rows:
        n = min(run.rows, run.n - position)
        take(run, params, scratch, position, n, sparse)
        if total.norms != NULL:
            sizes = <real*> total.norms + position
            clip(run, position, scratch, 0, n, total.max_norm, sizes)
        if total.squared:  # (a_k delta_j)^2 = a_k^2 delta_j^2
            square(run.rows * units, scratch)
            square(run.rows * (units - first), deltas + run.rows * first)  # not the lists
        block_gradient(
            run.layers, run.last, scratch, deltas, run.rows, n,
            FROM_C if total.add or position else FROM_ZERO, <real> 1, <real*> run.turned, 0, 1,
            <real*> total.grads, NULL, sparse,
        )  # fmt: skip


cdef void square(Py_ssize_t n, real* values) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        values[i] *= values[i]


# -- by sample -----------------------------------------------------------------------


cdef inline real* row_of(const Rows* out, Py_ssize_t s, const real* kind) noexcept nogil:
    """Return where the value of sample s goes, in the type of ``kind``."""
    return <real*> (<char*> out.start + s * out.stride)


cdef void values(const Pass* run, bint errors, const Rows* out) noexcept nogil:
    """Copy out the activations of each layer from the input on, or the errors from 1 on."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        values_of(run, errors, out, <const float*> run.params, <float*> run.scratch)
    else:
        values_of(run, errors, out, <const double*> run.params, <double*> run.scratch)
    restore(mode)


cdef void values_of(
    const Pass* run, bint errors, const Rows* out, const real* params, real* scratch
) noexcept nogil:
    cdef const real* deltas = scratch + run.rows * total_width(run.layers, run.last)
    cdef const real* value
    cdef Py_ssize_t position, n, s, l, first = 1 if errors else 0
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by run.rows:
        n = min(run.rows, run.n - position)
        if errors:
            take(run, params, scratch, position, n, sparse)
        else:
            block_forward(run, params, scratch, position, 0, n, NULL, sparse, NULL)
        for l in range(first, run.last + 1):
            for s in range(n):
                if errors:
                    value = deltas + place(run.layers, l, run.rows, s)
                else:
                    value = layer_inputs(run, position, scratch, s, l + 1)
                copy(run.layers[l].fan_out, value, row_of(out + l - first, position + s, value))


cdef void samples(const Pass* run, const Rows* out) noexcept nogil:
    """Compute the gradient of each sample: by the biases of all layers, then by the weights."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        samples_of(run, out, <const float*> run.params, <float*> run.scratch)
    else:
        samples_of(run, out, <const double*> run.params, <double*> run.scratch)
    restore(mode)


cdef void samples_of(
    const Pass* run, const Rows* out, const real* params, real* scratch
) noexcept nogil:
    cdef const Layer* layer
    cdef const real* deltas = scratch + run.rows * total_width(run.layers, run.last)
    cdef const real* delta
    cdef const real* a
    cdef real* weights
    cdef Py_ssize_t position, n, s, l
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by run.rows:
        n = min(run.rows, run.n - position)
        take(run, params, scratch, position, n, sparse)
        for s in range(n):
            for l in range(1, run.last + 1):
                layer = run.layers + l
                delta = deltas + place(run.layers, l, run.rows, s)
                a = layer_inputs(run, position, scratch, s, l)
                copy(layer.fan_out, delta, row_of(out + l - 1, position + s, a))
                weights = row_of(out + run.last + l - 1, position + s, a)
                if real is float:
                    outer_float(layer.fan_out, layer.fan_in, delta, a, weights)
                else:
                    outer_double(layer.fan_out, layer.fan_in, delta, a, weights)


# -- back to the inputs --------------------------------------------------------------


cdef void pull(const Pass* run, bint of_outputs, void* out) noexcept nogil:
    """Compute the gradient by the inputs: of the cost, out (n, n_0), or of each output a row."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        pull_of(run, of_outputs, <const float*> run.params, <float*> run.scratch, <float*> out)
    else:
        pull_of(run, of_outputs, <const double*> run.params, <double*> run.scratch, <double*> out)
    restore(mode)


cdef void pull_of(
    const Pass* run, bint of_outputs, const real* params, real* scratch, real* out
) noexcept nogil:
    cdef const Layer* top = run.layers + run.last
    cdef const Layer* inputs = run.layers
    cdef const Layer* first = run.layers + 1
    cdef real* deltas = scratch + run.rows * total_width(run.layers, run.last)
    cdef real* delta
    cdef Py_ssize_t position, n, s, j, times = top.fan_out if of_outputs else 1
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by run.rows:
        n = min(run.rows, run.n - position)
        if of_outputs:
            block_forward(run, params, scratch, position, 0, n, NULL, sparse, NULL)
        else:
            take(run, params, scratch, position, n, sparse)
        for j in range(times):
            if of_outputs:  # the error of a cost that is output j itself
                for s in range(n):
                    delta = deltas + place(run.layers, run.last, run.rows, s)
                    clear(top.width, delta)
                    delta[j] = 1
                times_slope(
                    <int> top.activation, n, top.fan_out, top.width,
                    scratch + place(run.layers, run.last, run.rows, 0),
                    deltas + place(run.layers, run.last, run.rows, 0),
                )  # fmt: skip
                block_backward(
                    params, run.layers, run.last, scratch, <real*> run.turned, run.rows, 0, n, NULL
                )
            layer_backward(  # to where the lists were
                n, first.fan_in, first.fan_out, first.width, inputs.width, params + first.offset,
                deltas + place(run.layers, 1, run.rows, 0), <real*> run.turned, deltas,
            )  # fmt: skip
            for s in range(n):
                copy(
                    inputs.fan_out,
                    deltas + s * inputs.width,
                    out + ((position + s) * times + j) * inputs.fan_out,
                )


# -- the Hessian ---------------------------------------------------------------------


cdef void hessian(const Pass* run, const void* direction, bint add, void* out) noexcept nogil:
    """Compute how the summed gradient changes along a direction: the Hessian times it.

    Pearlmutter's R-operator (1994): the derivative along the direction of each equation of
    backpropagation. Scratch has six kinds of values by layer, in place of two.
    """
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        hessian_of(
            run, <const float*> direction, add, <const float*> run.params, <float*> run.scratch,
            <float*> out,
        )  # fmt: skip
    else:
        hessian_of(
            run, <const double*> direction, add, <const double*> run.params,
            <double*> run.scratch, <double*> out,
        )  # fmt: skip
    restore(mode)


cdef void hessian_of(
    const Pass* run, const real* v, bint add, const real* params, real* scratch, real* out
) noexcept nogil:
    cdef const Layer* layers = run.layers
    cdef Py_ssize_t last = run.last, rows = run.rows
    cdef Py_ssize_t kind = rows * total_width(layers, last)
    # Of each layer: a and delta, and how z, a and delta change along v.
    cdef real* deltas = scratch + kind
    cdef real* dz = deltas + kind
    cdef real* da = dz + kind
    cdef real* ddelta = da + kind
    cdef real* work = ddelta + kind
    cdef real* turned = <real*> run.turned
    cdef Py_ssize_t position, n, l, s, i, at, below, size
    cdef const Layer* layer
    cdef bint sparse = lists_pay(run, 0, run.n)
    for position from 0 <= position < run.n by rows:
        n = min(rows, run.n - position)
        take(run, params, scratch, position, n, sparse)
        for l in range(1, last + 1):
            layer, at, below = layers + l, rows * layers[l].unit, rows * layers[l - 1].unit
            size = n * layer.width
            if sparse and l == 1:
                sparse_forward(layers, 0, n, v + layer.offset, deltas, dz + at)
            else:
                layer_forward(
                    FROM_ROW, n, layer.fan_in, layer.width, layers[l - 1].width,
                    v + layer.offset, scratch + below, dz + at,
                )  # fmt: skip
            if l > 1:  # the inputs do not change
                layer_forward(
                    FROM_C, n, layer.fan_in, layer.width, layers[l - 1].width,
                    params + layer.offset, da + below, dz + at,
                )  # fmt: skip
            copy(size, dz + at, da + at)
            times_slope(
                <int> layer.activation, n, layer.fan_out, layer.width, scratch + at, da + at
            )
        layer = layers + last
        for s in range(n):
            at = place(layers, last, rows, s)
            output_change(
                run.cost, <int> layer.activation, layer.fan_out,
                <const real*> run.Y + run.order[position + s] * layer.fan_out,
                scratch + at, deltas + at, dz + at, da + at, <real> run.scale, work + at,
                ddelta + at,
            )  # fmt: skip
            clear(layer.width - layer.fan_out, ddelta + at + layer.fan_out)
        for l in range(last, 1, -1):
            layer, at, below = layers + l, rows * layers[l].unit, rows * layers[l - 1].unit
            size = n * layers[l - 1].width
            layer_backward(
                n, layer.fan_in, layer.fan_out, layer.width, layers[l - 1].width,
                params + layer.offset, ddelta + at, turned, ddelta + below,
            )  # fmt: skip
            layer_backward(
                n, layer.fan_in, layer.fan_out, layer.width, layers[l - 1].width,
                v + layer.offset, deltas + at, turned, work + below,
            )  # fmt: skip
            for i in range(below, below + size):
                ddelta[i] += work[i]
                work[i] = deltas[i] * dz[i]
            times_slope(
                <int> layers[l - 1].activation, n, layers[l - 1].fan_out, layers[l - 1].width,
                scratch + below, ddelta + below,
            )  # fmt: skip
            times_curvature(<int> layers[l - 1].activation, size, scratch + below, work + below)
            for i in range(below, below + size):
                ddelta[i] += work[i]
        if sparse:  # where block_gradient looks for them
            copy(n * layers[0].width, deltas, ddelta)
        block_gradient(
            layers, last, scratch, ddelta, rows, n, FROM_C if add or position else FROM_ZERO,
            <real> 1, turned, 0, 1, out, NULL, sparse,
        )  # fmt: skip
        for l in range(2, last + 1):
            layer = layers + l
            layer_gradient(
                n, 0, layer.fan_in, layer.fan_in, layer.width, layers[l - 1].width,
                da + rows * layers[l - 1].unit, deltas + rows * layer.unit, FROM_C, <real> 1,
                turned, out + layer.offset, NULL,
            )  # fmt: skip
