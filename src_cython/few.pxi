# One sample, or one mini-batch, on the public arrays: no packing. The samples are looked at on
# the way, as they are read anyway; where one is not finite, the outputs mean nothing.

cdef bint fetch(const Py_buffer* view, Py_ssize_t n, real* target) noexcept nogil:
    """Copy a column of n values into the network's type; return whether all are finite."""
    cdef Inputs column = Inputs(NULL, NULL, 1, n, NULL, NULL)
    cdef bint good
    if view.itemsize == sizeof(float):
        column.floats = <const float*> view.buf
        good = finite(n, column.floats)
    else:
        column.doubles = <const double*> view.buf
        good = finite(n, column.doubles)
    load(column, 0, target)
    return good


cdef inline void dots(
    Py_ssize_t n_rows, Py_ssize_t n_samples, Py_ssize_t n, const real* W,
    const real* X, Py_ssize_t x_row, const real* bias, real* Z, Py_ssize_t z_row,
) noexcept nogil:  # fmt: skip
    """Compute Z = bias + X W^T (simd.h)."""
    if real is float:
        dots_float(n_rows, n_samples, n, W, X, x_row, bias, Z, z_row)
    else:
        dots_double(n_rows, n_samples, n, W, X, x_row, bias, Z, z_row)


cdef inline real combine(
    Py_ssize_t n_rows, Py_ssize_t n, Py_ssize_t n_terms,
    const real* X, Py_ssize_t x_row, Py_ssize_t x_term, const real* Y, Py_ssize_t y_row,
    const real* B, real scale, real* C, Py_ssize_t c_row,
) noexcept nogil:  # fmt: skip
    """Compute C = scale B + X Y (simd.h); return 0 if that is finite, else NaN."""
    if real is float:
        return combine_float(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )
    else:
        return combine_double(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )


cdef bint forward_few(const Few* few, real* scratch) noexcept nogil:
    """Compute the activations of every layer; return whether the inputs are finite."""
    cdef const Layer* layer = few.layers
    cdef Py_ssize_t l, s, n = few.n, width_in, width = layer.width
    cdef bint good = True
    cdef real* a = scratch
    cdef real* z
    for s in range(n):
        good = fetch(few.x + s * few.stride, layer.fan_out, scratch + s * width) and good
    for l in range(few.last):
        layer += 1
        width_in, width = width, layer.width
        z = scratch + n * layer.unit
        dots(
            layer.fan_out, n, layer.fan_in, <const real*> few.held[few.last + l].buf, a, width_in,
            <const real*> few.held[l].buf, z, width,
        )  # fmt: skip
        for s in range(n):
            activate(<int> layer.activation, 1, layer.fan_out, width, z + s * width)
        a = z
    return good


cdef int backward_few(const Few* few, real scale, real decay, real* scratch) noexcept nogil:
    """Compute the gradient, or the parameters after a step by it, from the activations."""
    cdef Py_ssize_t n = few.n, last = few.last
    cdef const Layer* layer = few.layers + last
    cdef const Layer* below
    cdef Py_ssize_t l, s, j, fan_in, fan_out = layer.fan_out, width = layer.width
    cdef real* deltas = scratch + n * (layer.unit + width)
    cdef real* delta = deltas + n * layer.unit
    cdef real* prev
    cdef const real* a = scratch + n * layer.unit
    cdef const real* w
    cdef const real* b
    cdef real* out
    cdef real bad = 0
    cdef bint good = True
    for s in range(n):
        # y lies behind its x
        good = fetch(few.x + 1 + few.stride * s, fan_out, delta + s * width) and good
        output_delta(
            few.cost, <int> layer.activation, fan_out, a + s * width, scale, delta + s * width
        )  # BP1
    if not good:
        return -1
    for l in range(last - 1, -1, -1):
        below = layer - 1
        fan_in, fan_out, width = layer.fan_in, layer.fan_out, layer.width
        b, w = <const real*> few.held[l].buf, <const real*> few.held[last + l].buf
        a = scratch + n * below.unit
        out = <real*> few.held[2 * last + l].buf
        clear(fan_out, out)
        for s in range(n):
            for j in range(fan_out):
                out[j] += delta[s * width + j]  # BP3
        for j in range(fan_out):
            if few.add:
                out[j] += b[j]
            bad += 0 * out[j]
        bad += combine(
            fan_out, fan_in, n, delta, 1, width, a, below.width,
            w if few.add else NULL, decay, <real*> few.held[3 * last + l].buf, fan_in,
        )  # BP4  # fmt: skip
        if l > 0:
            prev = deltas + n * below.unit
            combine(
                n, fan_in, fan_out, delta, width, 1, w, fan_in, NULL, <real> 0, prev, below.width
            )
            for s in range(n):
                times_slope(
                    <int> below.activation, 1, fan_in, fan_in, a + s * below.width,
                    prev + s * below.width,
                )  # BP2  # fmt: skip
            delta = prev
        layer = below
    return bad == 0


cdef bint few_forward(const Few* few, void* out) noexcept nogil:
    """Compute the output activations of one sample; return whether its inputs are finite."""
    cdef fastbp_mode mode = flush_subnormals()
    cdef const Layer* last = few.layers + few.last
    cdef bint good
    if few.itemsize == sizeof(float):
        good = forward_few(few, <float*> few.scratch)
        copy(last.fan_out, <float*> few.scratch + last.unit, <float*> out)
    else:
        good = forward_few(few, <double*> few.scratch)
        copy(last.fan_out, <double*> few.scratch + last.unit, <double*> out)
    restore(mode)
    return good


cdef int few_gradient(const Few* few) noexcept nogil:
    """Compute the summed gradient, or the parameters after a step by it.

    Return 1 if it is finite, else 0; -1 if the samples are not.
    """
    cdef fastbp_mode mode = flush_subnormals()
    cdef int result = -1
    if few.itemsize == sizeof(float):
        if forward_few(few, <float*> few.scratch):
            result = backward_few(
                few, <float> few.scale, <float> few.decay, <float*> few.scratch
            )
    elif forward_few(few, <double*> few.scratch):
        result = backward_few(few, few.scale, few.decay, <double*> few.scratch)
    restore(mode)
    return result


cdef void pack_layers(const Few* few, bint back, real* block) noexcept nogil:
    cdef const Layer* layer
    cdef Py_ssize_t l, k
    cdef real* w
    cdef real* b
    cdef real* W
    for l in range(few.last):
        layer = few.layers + l + 1
        b, w = <real*> few.held[l].buf, <real*> few.held[few.last + l].buf
        W = block + layer.offset
        if back:
            transpose(layer.fan_in, layer.fan_out, W, layer.width, w, layer.fan_in)
            copy(layer.fan_out, W + layer.fan_in * layer.width, b)
        else:
            transpose(layer.fan_out, layer.fan_in, w, layer.fan_in, W, layer.width)
            copy(layer.fan_out, b, W + layer.fan_in * layer.width)
            for k in range(layer.fan_in + 1):
                clear(layer.width - layer.fan_out, W + k * layer.width + layer.fan_out)


cdef void pack(const Few* few, bint back, void* block) noexcept nogil:
    """Copy biases and weights to the block, and zeros to its padding; or all back."""
    if few.itemsize == sizeof(float):
        pack_layers(few, back, <float*> block)
    else:
        pack_layers(few, back, <double*> block)
