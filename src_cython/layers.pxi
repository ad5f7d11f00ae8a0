# One layer at a time. W is the layer's matrix in the parameter block, (fan_in + 1,
# width), the last row the bias; a, z and delta hold one row of `width` a sample.


cdef inline void copy(Py_ssize_t n, const real* source, real* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = source[i]


cdef inline void clear(Py_ssize_t n, real* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = 0


cdef inline void load(Py_ssize_t n, const sample* x, real* target) noexcept nogil:
    """Copy one sample's inputs into the network's type."""
    cdef Py_ssize_t i
    if real is float and sample is double:
        for i in range(n):
            target[i] = <real> max(min(x[i], BOUND), -BOUND)
    else:
        for i in range(n):
            target[i] = x[i]


cdef inline real dot(Py_ssize_t n, const real* x, const real* y) noexcept nogil:
    # Several accumulators, so that the sum vectorises without licence to reorder.
    cdef real acc[LANES]
    cdef real total = 0
    cdef Py_ssize_t i, u, vectors = n // LANES
    for u in range(LANES):
        acc[u] = 0
    for i in range(vectors):
        for u in range(LANES):
            acc[u] += x[LANES * i + u] * y[LANES * i + u]
    for i in range(LANES * vectors, n):
        total += x[i] * y[i]
    for u in range(LANES):
        total += acc[u]
    return total


# -- one sample, W as the public (fan_out, fan_in) array -----------------------------


cdef void sample_forward(
    Py_ssize_t n_out,
    Py_ssize_t n_in,
    const real* w,   # IN   (n_out, n_in)
    const real* b,   # IN   (n_out,)
    const real* a,   # IN   (n_in,)
    int activation,  # IN
    real* out,       # OUT  (n_out,)
) noexcept nogil:
    """Compute activation(w a + b)."""
    cdef Py_ssize_t j
    for j in range(n_out):
        out[j] = dot(n_in, w + j * n_in, a) + b[j]
    activate(activation, n_out, out)


cdef void sample_backward(
    Py_ssize_t n_out,
    Py_ssize_t n_in,
    const real* w,      # IN   (n_out, n_in)
    const real* delta,  # IN   (n_out,)
    real* delta_prev,   # OUT  (n_in,)
) noexcept nogil:
    """Compute w^T delta, the error carried back through one layer's weights (BP2)."""
    cdef Py_ssize_t j, k
    clear(n_in, delta_prev)
    for j in range(n_out):
        for k in range(n_in):
            delta_prev[k] += w[j * n_in + k] * delta[j]


cdef void outer(
    Py_ssize_t n_out,
    Py_ssize_t n_in,
    const real* delta,  # IN   (n_out,)
    const real* a,      # IN   (n_in,)
    real* nabla,        # OUT  (n_out, n_in)
) noexcept nogil:
    """Compute the gradient by the weights of one layer, delta a^T (BP4)."""
    cdef Py_ssize_t j, k
    for j in range(n_out):
        for k in range(n_in):
            nabla[j * n_in + k] = delta[j] * a[k]


# -- a block of n samples ------------------------------------------------------------


cdef inline Py_ssize_t total_width(const Py_ssize_t[:, ::1] layout) noexcept nogil:
    cdef Py_ssize_t last = layout.shape[0] - 1
    return layout[last, UNIT] + layout[last, WIDTH]


cdef void layer_forward(
    Py_ssize_t n,
    Py_ssize_t fan_in,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* W,  # IN   (fan_in + 1, width)
    const real* a,  # IN   (n, width_in)
    real* z,        # OUT  (n, width)
) noexcept nogil:
    """Compute z = a W + bias."""
    cdef Py_ssize_t s, j, k
    cdef const real* w
    cdef real* z_s
    cdef real x
    for s in range(n):
        copy(width, W + fan_in * width, z + s * width)
    # Inputs outermost: each row of W is loaded once for the whole block.
    for k in range(fan_in):
        w = W + k * width
        for s in range(n):
            x = a[s * width_in + k]
            z_s = z + s * width
            for j in range(width):
                z_s[j] += x * w[j]


cdef void layer_backward(
    Py_ssize_t n,
    Py_ssize_t fan_in,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* W,      # IN   (fan_in + 1, width)
    const real* delta,  # IN   (n, width), zero in the padding
    real* delta_prev,   # OUT  (n, width_in), zero in the padding
) noexcept nogil:
    """Compute delta_prev = W delta (BP2, before the slope)."""
    # Rows of W are inputs, so this is a dot per input; the bias row has no input.
    cdef Py_ssize_t s, k
    for s in range(n):
        for k in range(fan_in):
            delta_prev[s * width_in + k] = dot(width, W + k * width, delta + s * width)
        clear(width_in - fan_in, delta_prev + s * width_in + fan_in)


cdef void layer_gradient(
    Py_ssize_t n,
    Py_ssize_t fan_in,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* a,      # IN      (n, width_in)
    const real* delta,  # IN      (n, width), zero in the padding
    real* G,            # IN/OUT  (fan_in + 1, width)
) noexcept nogil:
    """Add the block's gradient: a^T delta (BP4), and the sum of delta for the bias (BP3)."""
    cdef Py_ssize_t s, j, k
    cdef const real* d
    cdef real* g
    cdef real x
    for k in range(fan_in):
        g = G + k * width
        for s in range(n):
            x = a[s * width_in + k]
            d = delta + s * width
            for j in range(width):
                g[j] += x * d[j]
    g = G + fan_in * width
    for s in range(n):
        d = delta + s * width
        for j in range(width):
            g[j] += d[j]


cdef void layer_update(
    Py_ssize_t fan_in,
    Py_ssize_t width,
    const real* G,  # IN      (fan_in + 1, width)
    real step,      # IN
    real decay,     # IN      of the weights; biases do not decay
    real* W,        # IN/OUT  (fan_in + 1, width)
) noexcept nogil:
    """Take one step down the summed gradient G."""
    cdef Py_ssize_t i, bias = fan_in * width
    for i in range(bias):
        W[i] = decay * W[i] - step * G[i]
    for i in range(bias, bias + width):
        W[i] -= step * G[i]


cdef void block_forward(
    const real* params,
    const Py_ssize_t[:, ::1] layout,
    real* scratch,  # IN/OUT  activations of layer 0; then of every layer
    Py_ssize_t rows,
    Py_ssize_t n,
) noexcept nogil:
    """Compute the activations of every layer."""
    cdef Py_ssize_t l, width
    cdef real* a
    for l in range(1, layout.shape[0]):
        width = layout[l, WIDTH]
        a = scratch + rows * layout[l, UNIT]
        layer_forward(
            n,
            layout[l, FAN_IN],
            width,
            layout[l - 1, WIDTH],
            params + layout[l, OFFSET],
            scratch + rows * layout[l - 1, UNIT],
            a,
        )
        activate(<int> layout[l, ACTIVATION], n * width, a)


cdef void block_backward(
    const real* params,
    const Py_ssize_t[:, ::1] layout,
    real* scratch,  # IN/OUT  activations, and the targets in place of the last delta; then deltas
    Py_ssize_t rows,
    Py_ssize_t n,
    int cost,
) noexcept nogil:
    """Compute the error delta of every layer but the input."""
    cdef Py_ssize_t l, s, width, fan_out, last = layout.shape[0] - 1
    cdef real* deltas = scratch + rows * total_width(layout)
    cdef real* delta = deltas + rows * layout[last, UNIT]
    cdef const real* a = scratch + rows * layout[last, UNIT]
    width, fan_out = layout[last, WIDTH], layout[last, FAN_OUT]
    for s in range(n):
        output_delta(
            cost, <int> layout[last, ACTIVATION], fan_out, a + s * width, delta + s * width
        )
        clear(width - fan_out, delta + s * width + fan_out)
    for l in range(last, 1, -1):
        width = layout[l - 1, WIDTH]
        delta = deltas + rows * layout[l - 1, UNIT]
        layer_backward(
            n,
            layout[l, FAN_IN],
            layout[l, WIDTH],
            width,
            params + layout[l, OFFSET],
            deltas + rows * layout[l, UNIT],
            delta,
        )
        times_slope(
            <int> layout[l - 1, ACTIVATION],
            n * width,
            scratch + rows * layout[l - 1, UNIT],
            delta,
        )


cdef void block_gradient(
    const Py_ssize_t[:, ::1] layout,
    const real* scratch,  # IN      activations and deltas
    Py_ssize_t rows,
    Py_ssize_t n,
    real* grads,          # IN/OUT
) noexcept nogil:
    """Add the gradient of n samples."""
    cdef Py_ssize_t l
    cdef const real* deltas = scratch + rows * total_width(layout)
    for l in range(1, layout.shape[0]):
        layer_gradient(
            n,
            layout[l, FAN_IN],
            layout[l, WIDTH],
            layout[l - 1, WIDTH],
            scratch + rows * layout[l - 1, UNIT],
            deltas + rows * layout[l, UNIT],
            grads + layout[l, OFFSET],
        )


cdef void block_update(
    const Py_ssize_t[:, ::1] layout,
    const real* grads,  # IN      summed over the mini-batch
    double step,        # IN
    double decay,       # IN
    real* params,       # IN/OUT
) noexcept nogil:
    """Take one step in every layer."""
    cdef Py_ssize_t l
    for l in range(1, layout.shape[0]):
        layer_update(
            layout[l, FAN_IN],
            layout[l, WIDTH],
            grads + layout[l, OFFSET],
            <real> step,
            <real> decay,
            params + layout[l, OFFSET],
        )
