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


cdef void load(Inputs inputs, Py_ssize_t s, real* target) noexcept nogil:
    """Copy sample s into the network's type."""
    cdef const float* floats = inputs.floats + s * inputs.n_0
    cdef const double* doubles = inputs.doubles + s * inputs.n_0
    cdef Py_ssize_t i
    if inputs.floats != NULL:
        for i in range(inputs.n_0):
            target[i] = floats[i]
    elif real is float:
        for i in range(inputs.n_0):
            target[i] = <real> max(min(doubles[i], BOUND), -BOUND)
    else:
        for i in range(inputs.n_0):
            target[i] = doubles[i]


cdef inline bint finite(Py_ssize_t n, const real* values) noexcept nogil:
    """Whether no value is NaN or infinite."""
    if real is float:
        return finite_float(n, values)
    else:
        return finite_double(n, values)


# -- a block of n samples ------------------------------------------------------------


cdef inline Py_ssize_t share(Py_ssize_t n, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """Return where a part's share of n begins; the next part's begins where it ends."""
    return n * part if parts == 1 else n * part // parts


cdef inline Py_ssize_t place(
    const Layer* layers, Py_ssize_t l, Py_ssize_t rows, Py_ssize_t s
) noexcept nogil:
    """Return where sample s of layer l lies in scratch, among the activations or the deltas."""
    return rows * layers[l].unit + s * layers[l].width


cdef inline Py_ssize_t in_lines(Py_ssize_t n, real* kind) noexcept nogil:
    """Round n up to whole lines of ALIGNMENT bytes."""
    cdef Py_ssize_t line = LINE // sizeof(kind[0])
    return (n + line - 1) // line * line


cdef inline void multiply(
    int start,
    Py_ssize_t n_rows,
    Py_ssize_t n_columns,
    Py_ssize_t n_terms,
    const real* X,  # IN   X[i x_row + p x_term]
    Py_ssize_t x_row,
    Py_ssize_t x_term,
    const real* Y,  # IN   (n_terms, y_row)
    Py_ssize_t y_row,
    real* C,        # OUT  (n_rows, c_row)
    Py_ssize_t c_row,
    const real* row,
    real scale,
    fastbp_ahead* ahead,
) noexcept nogil:
    """Compute C = start + X Y (simd.h)."""
    if real is float:
        multiply_float(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
            ahead,
        )  # fmt: skip
    else:
        multiply_double(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
            ahead,
        )  # fmt: skip


cdef inline void transpose(
    Py_ssize_t n, Py_ssize_t m, const real* source, Py_ssize_t row, real* target, Py_ssize_t column
) noexcept nogil:
    """Copy source (n, m), rows `row` apart, to target (m, n), rows `column` apart."""
    if real is float:
        transpose_float(n, m, source, row, target, column)
    else:
        transpose_double(n, m, source, row, target, column)


cdef void layer_forward(
    int start,      # IN   FROM_ROW: from the bias; FROM_C: added, without bias, to what is there
    Py_ssize_t n,
    Py_ssize_t fan_in,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* W,  # IN   (fan_in + 1, width)
    const real* a,  # IN   (n, width_in)
    real* z,        # OUT  (n, width)
) noexcept nogil:
    """Compute z = a W + bias."""
    multiply(
        start, n, width, fan_in, a, width_in, 1, W, width, z, width, W + fan_in * width, 1,
        NULL,
    )  # fmt: skip


cdef void layer_backward(
    Py_ssize_t n,
    Py_ssize_t fan_in,
    Py_ssize_t fan_out,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* W,      # IN   (fan_in + 1, width)
    const real* delta,  # IN   (n, width)
    real* turned,       # WORK (fan_out + fan_in, n in lines)
    real* delta_prev,   # OUT  (n, width_in), zero in the padding
) noexcept nogil:
    """Compute delta_prev = W delta (BP2, before the slope)."""
    # Vectors over samples: a sum over outputs needs no horizontal sum that way.
    cdef Py_ssize_t s, columns = in_lines(n, delta_prev)
    cdef real* turned_prev = turned + fan_out * columns
    if columns > n:
        clear(fan_out * columns, turned)
    transpose(n, fan_out, delta, width, turned, columns)
    multiply(
        FROM_ZERO, fan_in, columns, fan_out, W, width, 1, turned, columns,
        turned_prev, columns, NULL, 0, NULL,
    )  # fmt: skip
    transpose(fan_in, n, turned_prev, columns, delta_prev, width_in)
    for s in range(n):
        clear(width_in - fan_in, delta_prev + s * width_in + fan_in)


cdef void layer_gradient(
    Py_ssize_t n,
    Py_ssize_t low,     # IN      the first and
    Py_ssize_t high,    # IN      past the last row of G to compute
    Py_ssize_t fan_in,
    Py_ssize_t width,
    Py_ssize_t width_in,
    const real* a,      # IN      (n, width_in)
    const real* delta,  # IN      (n, width), zero in the padding
    int start,          # IN      FROM_ZERO, or FROM_C to add to what is there
    real scale,         # IN      of the weights that are there
    real* turned,       # WORK    (high - low, n in lines)
    real* G,            # IN/OUT  (fan_in + 1, width)
    fastbp_ahead* ahead,
) noexcept nogil:
    """Compute a^T delta (BP4), from that start; not for the bias."""
    cdef Py_ssize_t own = min(high, fan_in) - low, x_row = 1, x_term = width_in
    a += low
    if n >= MANY and width >= MANY:
        # The terms of a sum, one input of all samples, side by side.
        x_row, x_term = in_lines(n, turned), 1
        transpose(n, own, a, width_in, turned, x_row)
        a = turned
    multiply(
        start, own, width, n, a, x_row, x_term, delta, width, G + low * width, width,
        NULL, scale, ahead,
    )  # fmt: skip


cdef void bias_gradient(
    Py_ssize_t n,
    Py_ssize_t width,
    const real* delta,  # IN      (n, width)
    int start,          # IN      FROM_ZERO, or FROM_C to add to what is there
    real* bias,         # IN/OUT  (width,)
) noexcept nogil:
    """Compute the sum of delta (BP3), from that start."""
    cdef real one = 1
    multiply(start, 1, width, n, &one, 0, 0, delta, width, bias, width, NULL, one, NULL)


cdef void layer_update(
    Py_ssize_t low,   # IN      the first and
    Py_ssize_t high,  # IN      past the last row to update
    Py_ssize_t fan_in,
    Py_ssize_t width,
    const real* G,  # IN      (fan_in + 1, width)
    real decay,     # IN      of the weights; biases do not decay
    real* W,        # IN/OUT  (fan_in + 1, width)
) noexcept nogil:
    """Add the summed steps G."""
    cdef Py_ssize_t i, bias = fan_in * width
    for i in range(low * width, min(high * width, bias)):
        W[i] = decay * W[i] + G[i]
    for i in range(bias, high * width):
        W[i] += G[i]


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """Return 64 bits that look like chance (SplitMix64: Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> 30)) * <uint64_t> 0xbf58476d1ce4e5b9
    x = (x ^ (x >> 27)) * <uint64_t> 0x94d049bb133111eb
    return x ^ (x >> 31)


cdef void drop(
    const Dropout* dropout,
    Py_ssize_t l,
    uint64_t drawn,      # IN      samples before these
    Py_ssize_t n,
    Py_ssize_t fan_out,
    Py_ssize_t width,
    real* factors,       # OUT     (n, width)
    real* a,             # IN/OUT  (n, width)
) noexcept nogil:
    """Set activations to 0, each with the layer's rate, and scale the others up.

    Each is drawn from its own numbers: the same for any block, pause or number of threads.
    """
    cdef uint32_t most = <uint32_t> (dropout.rates[l] * 4294967295.0), x, low, high
    cdef real kept = <real> (1 / (1 - dropout.rates[l]))
    cdef uint64_t key
    cdef Py_ssize_t s, j
    for s in range(n):
        key = mixed(
            mixed(dropout.seed + <uint64_t> l) + (drawn + <uint64_t> s) * <uint64_t> 0x9e3779b97f4a7c15
        )
        low, high = <uint32_t> key, <uint32_t> (key >> 32)
        for j in range(width):
            # The finaliser of MurmurHash3 (Appleby), 32 bits: it fills vectors.
            x = (low + <uint32_t> j * <uint32_t> 0x9e3779b9) ^ high
            x = (x ^ (x >> 16)) * <uint32_t> 0x85ebca6b
            x = (x ^ (x >> 13)) * <uint32_t> 0xc2b2ae35
            x ^= x >> 16
            factors[s * width + j] = kept if x >= most else 0
        for j in range(width):
            a[s * width + j] *= factors[s * width + j]


cdef void block_forward(
    const Pass* run,
    const real* params,
    real* scratch,           # OUT  activations of every layer
    Py_ssize_t position,     # IN   of sample 0 of scratch in the order
    Py_ssize_t first,        # IN   even, if sparse
    Py_ssize_t n,
    const Dropout* dropout,  # IN   or NULL
    bint sparse,             # IN   whether by lists of inputs (sparse.pxi)
    fastbp_ahead* next,      # IN   to be fetched meanwhile; these are in a near cache then. Or NULL
) noexcept nogil:
    """Bring n samples, from the first on, and compute the activations of every layer.

    With dropout, scratch has two more kinds of values by layer: the activations before it, and
    the factors that they are multiplied by.
    """
    cdef const Layer* layers = run.layers
    cdef Py_ssize_t l, s, width, rows = run.rows, kind = rows * total_width(layers, run.last)
    cdef fastbp_ahead ahead
    cdef real* a
    ahead.rows, ahead.bytes = NULL, 0
    if sparse:
        if next == NULL:
            ahead = samples_ahead(run.inputs, rows, layers[1].fan_in)
        # What is listed is used at once, from the first cache.
        for s from first <= s < first + n by 2:
            list_inputs(
                run, position, s, min(2, first + n - s), next != NULL, scratch, scratch + kind
            )
            if next == NULL and s + 6 <= first + n:
                fetch_row(ahead.rows + nth(run, position + s + 4) * ahead.bytes, ahead.bytes)
                fetch_row(ahead.rows + nth(run, position + s + 5) * ahead.bytes, ahead.bytes)
            if next != NULL:
                fastbp_fetch_lines(next, FETCHED)
            sparse_forward(
                layers, s, min(2, first + n - s), params + layers[1].offset, scratch + kind,
                scratch + rows * layers[1].unit,
            )  # fmt: skip
            if next != NULL:
                fastbp_fetch_lines(next, FETCHED)
    else:
        for s in range(first, first + n):
            load(run.inputs, nth(run, position + s), scratch + s * layers[0].width)
    for l in range(1, run.last + 1):
        width = layers[l].width
        a = scratch + place(layers, l, rows, first)
        if l > 1 or not sparse:
            layer_forward(
                FROM_ROW,
                n,
                layers[l].fan_in,
                width,
                layers[l - 1].width,
                params + layers[l].offset,
                scratch + place(layers, l - 1, rows, first),
                a,
            )
        activate(<int> layers[l].activation, n, layers[l].fan_out, width, a)
        if dropout != NULL and dropout.rates[l] > 0:
            copy(n * width, a, a + 2 * kind)
            drop(
                dropout, l, dropout.drawn + <uint64_t> (position + first), n, layers[l].fan_out,
                width, a + 3 * kind, a,
            )  # fmt: skip


cdef void block_costs(
    const Layer* layers,
    Py_ssize_t last,
    const real* scratch,  # IN   activations, and the targets in place of the last delta
    Py_ssize_t rows,
    Py_ssize_t first,
    Py_ssize_t n,
    int cost,
    double* costs,        # OUT  (n,)
) noexcept nogil:
    """Compute the cost of n samples."""
    cdef Py_ssize_t s, width = layers[last].width
    cdef const real* a = scratch + place(layers, last, rows, first)
    cdef const real* y = a + rows * total_width(layers, last)
    for s in range(n):
        costs[s] = output_cost(cost, layers[last].fan_out, a + s * width, y + s * width)


cdef void block_errors(
    const Layer* layers,
    Py_ssize_t last,
    real* scratch,  # IN/OUT  activations, and the targets in place of the last delta; then that
    Py_ssize_t rows,
    Py_ssize_t first,
    Py_ssize_t n,
    int cost,
    real scale,
) noexcept nogil:
    """Compute scale times the error delta of the output layer, of n samples (BP1)."""
    cdef Py_ssize_t s, width = layers[last].width, fan_out = layers[last].fan_out
    cdef const real* a = scratch + place(layers, last, rows, first)
    cdef real* delta = scratch + rows * total_width(layers, last) + place(layers, last, rows, first)
    for s in range(n):
        output_delta(
            cost, <int> layers[last].activation, fan_out, a + s * width, scale, delta + s * width
        )
        clear(width - fan_out, delta + s * width + fan_out)


cdef void block_backward(
    const real* params,
    const Layer* layers,
    Py_ssize_t last,
    real* scratch,  # IN/OUT  activations, and the last delta; then all deltas
    real* turned,   # WORK    as in layer_backward
    Py_ssize_t rows,
    Py_ssize_t first,
    Py_ssize_t n,
    const Dropout* dropout,  # IN   as in block_forward
) noexcept nogil:
    """Compute the error delta of every layer but the input (BP2)."""
    cdef Py_ssize_t l, i, width, kind = rows * total_width(layers, last)
    cdef const real* a
    cdef real* deltas = scratch + rows * total_width(layers, last)
    cdef real* delta
    for l in range(last, 1, -1):
        width = layers[l - 1].width
        delta = deltas + place(layers, l - 1, rows, first)
        layer_backward(
            n,
            layers[l].fan_in,
            layers[l].fan_out,
            layers[l].width,
            width,
            params + layers[l].offset,
            deltas + place(layers, l, rows, first),
            turned,
            delta,
        )
        a = scratch + place(layers, l - 1, rows, first)
        if dropout != NULL and dropout.rates[l - 1] > 0:
            a += 2 * kind
            for i in range(n * width):
                delta[i] *= a[kind + i]
        times_slope(
            <int> layers[l - 1].activation, n, layers[l - 1].fan_out, width, a, delta
        )


cdef void block_gradient(
    const Layer* layers,
    Py_ssize_t last,
    const real* activations,
    const real* deltas,
    Py_ssize_t rows,
    Py_ssize_t n,
    int start,            # IN      FROM_ZERO, or FROM_C to add to what is there
    real scale,           # IN      of the weights that are there
    real* turned,         # WORK    of this part
    Py_ssize_t part,      # IN      whose share of each layer's rows to compute,
    Py_ssize_t parts,     # IN      of so many
    real* grads,          # IN/OUT
    fastbp_ahead* ahead,  # IN      to be fetched meanwhile, or NULL
    bint sparse,          # IN      whether there are lists of inputs (sparse.pxi)
) noexcept nogil:
    """Compute the gradient of n samples, from that start."""
    cdef Py_ssize_t l, low, high, width, fan_in
    cdef const real* a
    cdef const real* delta
    cdef real* G
    for l in range(1, last + 1):
        width, fan_in = layers[l].width, layers[l].fan_in
        low, high = share(fan_in + 1, part, parts), share(fan_in + 1, part + 1, parts)
        a, delta = activations + rows * layers[l - 1].unit, deltas + rows * layers[l].unit
        G = grads + layers[l].offset
        if sparse and l == 1:
            sparse_gradient(
                layers, n, low, min(high, fan_in), deltas, delta, start, scale, turned, G,
                ahead,
            )  # fmt: skip
        else:
            layer_gradient(
                n, low, high, fan_in, width, layers[l - 1].width, a, delta, start, scale, turned,
                G, ahead if l == 1 else NULL,
            )  # fmt: skip
        if high > fan_in:
            bias_gradient(n, width, delta, start, G + fan_in * width)


cdef inline void optimize(
    const Rule* rule,
    Py_ssize_t n,
    bint weights,     # IN      whether they are penalised
    double rate,
    Py_ssize_t t,     # IN      updates, with this one
    const real* G,    # IN      gradient
    real* u,          # IN/OUT  velocity, or first moment; RMSprop's second
    real* v,          # IN/OUT  second moment
    real* w,          # IN/OUT  parameters
) noexcept nogil:
    """Take a step: momentum (Polyak, 1964), Nesterov's (1983), RMSprop (Tieleman and Hinton,
    2012), Adam (Kingma and Ba, 2015), AdamW (Loshchilov and Hutter, 2019)."""
    cdef real l1 = <real> (rule.l1 if weights else 0), l2 = <real> (rule.l2 if weights else 0)
    cdef real eta = <real> rate, mu = <real> rule.first, nu = <real> rule.second
    cdef real rest = <real> (1 - rule.first), left = <real> (1 - rule.second)
    cdef real epsilon = <real> rule.epsilon, g, step, kept, root
    cdef Py_ssize_t i
    if rule.optimizer == PLAIN:
        for i in range(n):
            w[i] -= eta * (G[i] + l2 * w[i] + penalty(l1, w[i]))
    elif rule.optimizer == MOMENTUM:
        for i in range(n):
            u[i] = mu * u[i] - eta * (G[i] + l2 * w[i] + penalty(l1, w[i]))
            w[i] += u[i]
    elif rule.optimizer == NESTEROV:
        for i in range(n):
            g = eta * (G[i] + l2 * w[i] + penalty(l1, w[i]))
            u[i] = mu * u[i] - g
            w[i] += mu * u[i] - g
    elif rule.optimizer == RMSPROP:
        for i in range(n):
            g = G[i] + l2 * w[i] + penalty(l1, w[i])
            u[i] = nu * u[i] + left * g * g
            w[i] -= eta * g / (root_of(u[i]) + epsilon)
    else:
        kept = 1
        if rule.optimizer == ADAMW:  # decay apart from the gradient
            kept, l2 = 1 - eta * l2, 0
        # Both moments start from 0: divided by what they lack of a whole mean.
        step = <real> (rate / (1 - pow(rule.first, <double> t)))
        root = <real> (1 / sqrt(1 - pow(rule.second, <double> t)))
        if rule.hat:
            epsilon *= root
        for i in range(n):
            g = G[i] + l2 * w[i] + penalty(l1, w[i])
            u[i] = mu * u[i] + rest * g
            v[i] = nu * v[i] + left * g * g
            w[i] = kept * w[i] - step * u[i] / (root * root_of(v[i]) + epsilon)


cdef inline real penalty(real l1, real w) noexcept nogil:
    """Return the derivative of l1 |w|."""
    return l1 if w > 0 else -l1 if w < 0 else 0


cdef inline real root_of(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef void block_optimize(
    const Layer* layers,
    Py_ssize_t last,
    const Rule* rule,
    double rate,
    Py_ssize_t t,
    const real* grads,  # IN   the gradient of the mini-batch's mean cost
    Py_ssize_t part,    # IN   as in block_gradient
    Py_ssize_t parts,   # IN
    real* params,       # IN/OUT
) noexcept nogil:
    """Take the rule's step in every layer."""
    cdef Py_ssize_t l, at, low, high, bias, length = n_params(layers, last)
    cdef real* u = <real*> rule.moments
    cdef real* v = u + length
    for l in range(1, last + 1):
        at, bias = layers[l].offset, layers[l].fan_in * layers[l].width
        low = share(layers[l].fan_in + 1, part, parts) * layers[l].width
        high = share(layers[l].fan_in + 1, part + 1, parts) * layers[l].width
        if low < min(high, bias):
            optimize(
                rule, min(high, bias) - low, True, rate, t, grads + at + low, u + at + low,
                v + at + low, params + at + low,
            )  # fmt: skip
        if high > bias:
            optimize(
                rule, high - bias, False, rate, t, grads + at + bias, u + at + bias,
                v + at + bias, params + at + bias,
            )  # fmt: skip


cdef void block_update(
    const Layer* layers,
    Py_ssize_t last,
    const real* grads,  # IN      the steps, summed over the mini-batch
    real decay,         # IN
    Py_ssize_t part,    # IN      as in block_gradient
    Py_ssize_t parts,   # IN
    real* params,       # IN/OUT
) noexcept nogil:
    """Take the step in every layer."""
    cdef Py_ssize_t l, matrix_rows
    for l in range(1, last + 1):
        matrix_rows = layers[l].fan_in + 1
        layer_update(
            share(matrix_rows, part, parts),
            share(matrix_rows, part + 1, parts),
            layers[l].fan_in,
            layers[l].width,
            grads + layers[l].offset,
            decay,
            params + layers[l].offset,
        )
