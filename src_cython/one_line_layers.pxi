# A fast path: steps of one sample each through layers of one cache line each, such as XOR's. There
# is so little to compute that a step takes as long as its chain of dependent operations: weighted
# input, activation, error, update, and again. So values stay in registers, and each parameter is
# read and written once a step: the update of a weight by the last sample is made on the way to the
# sum that needs it. Sums and their order are those of blocks, and so is every bit of the result.
# `is_one_line` is the predicate of this path; `train` calls it. Lines are in a local array, hence
# the pointers here.

cdef enum:
    MOST_LAYERS = 8
    MOST_LINES = 22  # of a layer: 6 buffers, and 16 rows of float weights
    STRETCH = 1000  # steps between two looks at the clock: 0.05 to 1 ms


cdef inline Py_ssize_t line_of(real* kind) noexcept nogil:
    """Return how many values a line holds."""
    return LINE // <Py_ssize_t> sizeof(kind[0])


cdef bint is_one_line(
    const Layer[::1] layers,
    Py_ssize_t batch,
    Options options,
    const real[::1] weights,
    Py_ssize_t n_threads,
) noexcept nogil:
    """Whether these are plain steps of one sample each, through layers of one line each.

    A cost with penalties takes all weights as they are before the step, which are never in memory
    at once here.
    """
    cdef Py_ssize_t l
    for l in range(layers.shape[0]):
        if layers[l].width * <Py_ssize_t> sizeof(real) != LINE:
            return False
    return (
        FAST_PATHS and layers.shape[0] <= MOST_LAYERS and weights is None and batch == 1
        and n_threads == 1 and options.rule.optimizer == PLAIN and options.rule.l1 == 0
        and options.max_norm == INFINITY and options.dropout is None
        and (options.costs is None or options.rule.l2 == 0 and options.rule.alpha == 0)
    )  # fmt: skip


cdef inline void advance(
    Py_ssize_t n,
    real decay,     # IN
    real* W,        # IN/OUT  (n, line)
    real* bias,     # IN/OUT  (line,), or NULL
    const real* a,  # IN      (n,)
    const real* d,  # IN      (line,)
    const real* x,  # IN      (n,)
    real* z,        # OUT     (line,)
) noexcept nogil:
    """Replace W by decay W + a d^T, bias by bias + d; with these compute z = bias + x W."""
    if real is float:
        advance_float(n, decay, W, bias, a, d, x, z)
    else:
        advance_double(n, decay, W, bias, a, d, x, z)


cdef inline void multiply_line(const real* factor, real* delta) noexcept nogil:
    if real is float:
        times_line_float(factor, delta)
    else:
        times_line_double(factor, delta)


cdef inline void activate_line(
    const Layer* layer,
    const real* mask,  # IN      1 for each neuron, 0 in the padding
    real* z,           # IN/OUT  weighted inputs, then activations
    real* slope,       # OUT     not of softmax; 0 in the padding
) noexcept nogil:
    """Do as `activate` for one sample; sigmoids take no call, and stay in registers."""
    if layer.activation == SIGMOID:
        if real is float:
            sigmoid_line_float(mask, z, slope)
        else:
            sigmoid_line_double(mask, z, slope)
    else:
        activate(layer, 1, z, 0)
        if layer.activation != SOFTMAX:
            copy(layer.width, mask, slope)
            multiply_by_slope(layer, 1, <const real*> z, 0, slope, 0)


cdef inline void output_error_line(
    int cost,
    const Layer* layer,
    const real* a,
    const real* scale,  # IN      0 in the padding
    const real* slope,  # IN
    real* delta,        # IN/OUT  targets y, then the error; 0 in the padding
) noexcept nogil:
    """Do as `output_error` for one sample (BP1)."""
    if layer.activation == SIGMOID:
        if real is float:
            error_line_float(scale, a, delta)
        else:
            error_line_double(scale, a, delta)
        if cost == QUADRATIC:
            multiply_line(slope, delta)
    else:
        output_error(cost, layer, 1, a, 0, scale[0], delta, 0)


cdef Py_ssize_t train_one_line(
    const Layer[::1] layers,
    real[::1] params,
    Samples samples,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,
    int cost,
    double learning_rate,
    double weight_factor,
    double seconds,
    Options options,
) noexcept nogil:
    """Do as ``train``."""
    cdef Py_ssize_t n
    cdef double looked = clock(), now, deadline = looked + seconds
    cdef bint leave = False
    while position < order.shape[0] and not leave:
        n = min(order.shape[0] - position, STRETCH)
        one_line_steps(
            layers, params, samples, Y, order, position, n, cost, learning_rate, weight_factor,
            options,
        )
        position += n
        now = clock()
        leave = now + (now - looked) > deadline  # the next stretch would end too late
        looked = now
    return position


cdef void one_line_steps(
    const Layer[::1] layers,
    real[::1] params,             # IN/OUT
    Samples samples,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,          # IN  in the order
    Py_ssize_t n,                 # IN
    int cost,
    double learning_rate,
    double weight_factor,
    Options options,
) noexcept nogil:
    """Take n steps."""
    cdef Py_ssize_t last = layers.shape[0] - 1, line = line_of(&params[0])
    cdef Py_ssize_t every = line * MOST_LAYERS
    cdef Py_ssize_t end = position + n, l, i, j, k, s
    cdef const Layer* layer = &layers[last]
    cdef Py_ssize_t n_0 = layers[0].fan_out, n_L = layer.fan_out
    cdef real decay = 1  # nothing is due yet
    # Of each layer a line of each: a and delta of this sample and of the last one; the slope; the
    # mask, 1 where there is a neuron. Then its weights by outputs: the way back needs no horizontal
    # sums.
    cdef char[(MOST_LAYERS * MOST_LINES + 1) * LINE] room
    cdef real* a = <real*> (<size_t> room + LINE - <size_t> room % LINE)
    cdef real* a_last = a + every
    cdef real* delta = a_last + every
    cdef real* delta_last = delta + every
    cdef real* slope = delta_last + every
    cdef real* mask = slope + every
    cdef real* by_outputs = mask + every
    cdef real* scale = mask  # of the outputs, where the inputs' line would be
    cdef real* W
    clear((MOST_LINES - 16 + line) * every, a)
    for j in range(every):
        delta_last[j] = <real> -0.0  # a step of -0 leaves a weight of -0 as it is
    for j in range(n_L):
        scale[j] = <real> -learning_rate
    for l in range(1, last + 1):
        W = &params[layers[l].offset]
        transpose(
            layers[l].fan_in, layers[l].fan_out, <const real*> W, line,
            by_outputs + l * line * line, line,
        )  # fmt: skip
        for j in range(layers[l].fan_out):
            mask[l * line + j] = 1
    for s in range(position, end + 1):
        if s < end:
            i = order[s]
            if samples.floats is not None:
                for k in range(n_0):
                    a[k] = samples.floats[i, k]
            elif real is float:
                for k in range(n_0):
                    a[k] = <real> max(min(samples.doubles[i, k], BOUND), -BOUND)
            else:
                for k in range(n_0):
                    a[k] = samples.doubles[i, k]
            for j in range(n_L):
                delta[last * line + j] = Y[i, j]
        layer, i = &layers[0], 0
        while i < last * line:
            layer, i = layer + 1, i + line
            W = &params[layer.offset]
            advance(
                layer.fan_in, decay, W, W + layer.fan_in * line, <const real*> a_last + i - line,
                <const real*> delta_last + i, <const real*> a + i - line, a + i,
            )  # fmt: skip
            activate_line(layer, <const real*> mask + i, a + i, slope + i)
        if s == end:
            break  # the last updates are made
        if options.costs is not None:
            options.costs[s] = output_cost(cost, n_L, <const real*> a + i, <const real*> delta + i)
        output_error_line(
            cost, layer, <const real*> a + i, <const real*> scale, <const real*> slope + i, delta + i
        )
        while i > line:  # BP2, and the update (BP3, BP4) of the weights by outputs
            advance(
                layer.fan_out, decay, by_outputs + i * line, NULL, <const real*> delta_last + i,
                <const real*> a_last + i - line, <const real*> delta + i, delta + i - line,
            )  # fmt: skip
            layer, i = layer - 1, i - line
            multiply_line(<const real*> slope + i, delta + i)
        a, a_last, delta, delta_last = a_last, a, delta_last, delta
        decay = <real> (weight_factor - learning_rate * options.rule.alpha)
