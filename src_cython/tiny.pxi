# Steps of one sample each through layers of one line each. There is so little to compute that a
# step takes as long as its chain of what waits for what: weighted input, activation, error,
# update, and again. So values stay in registers, and parameters are passed once: the update that
# the last sample asks for is made on the way to the sum that needs it. Sums and their order are
# those of blocks, and so is every bit of the result.

cdef enum:
    MOST_LAYERS = 8
    MOST_LINES = 22  # of a layer: 6 kinds of values, and 16 rows of float weights
    STRETCH = 1000  # steps between two looks at the clock: 0.05 to 1 ms


cdef inline Py_ssize_t line_of(real* kind) noexcept nogil:
    """Return how many values a line holds."""
    return LINE // <Py_ssize_t> sizeof(kind[0])


cdef bint is_tiny(const Pass* run, const Steps* steps, real* kind) noexcept nogil:
    """Whether these are plain steps of one sample each, through layers of one line each.

    A cost with penalties takes all weights as they are before the step, which are never in memory
    at once here.
    """
    cdef Py_ssize_t l
    for l in range(run.last + 1):
        if run.layers[l].width != line_of(kind):
            return False
    return (
        run.last < MOST_LAYERS and run.weights == NULL and steps.batch == 1 and steps.parts == 1
        and steps.rule.optimizer == PLAIN and steps.rule.l1 == 0 and steps.max_norm == INFINITY
        and steps.dropout.rates == NULL
        and (steps.costs == NULL or steps.rule.l2 == 0 and steps.rule.alpha == 0)
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
    """Replace W by decay W + a d^T, bias by bias + d; with these compute z = bias + x W (simd.h)."""
    if real is float:
        advance_float(n, decay, W, bias, a, d, x, z)
    else:
        advance_double(n, decay, W, bias, a, d, x, z)


cdef Py_ssize_t train_tiny(const Pass* run, const Steps* steps, real* params) noexcept nogil:
    """Do as ``train``."""
    cdef Py_ssize_t position = steps.position, n
    cdef double looked = clock(), now, deadline = looked + steps.seconds
    cdef bint leave = False
    while position < run.n and not leave:
        n = min(run.n - position, STRETCH)
        tiny_steps(run, steps, position, n, params)
        position += n
        now = clock()
        leave = now + (now - looked) > deadline  # the next stretch would end too late
        looked = now
    return position


cdef void tiny_steps(
    const Pass* run,
    const Steps* steps,
    Py_ssize_t position,  # IN      in the order
    Py_ssize_t n,         # IN
    real* params,         # IN/OUT
) noexcept nogil:
    """Take n steps."""
    cdef Py_ssize_t line = line_of(params), all = line * MOST_LAYERS, last = run.last, end, l, i, j, s
    cdef const Layer* layer = run.layers + last
    cdef Py_ssize_t n_L = layer.fan_out
    cdef real decay = 1  # nothing is due yet
    # Of each layer a line of each: a and delta of this sample and of the last one; the slope; 1
    # where there is a neuron. Then its weights by outputs: the way back needs no horizontal sums.
    cdef char[(MOST_LAYERS * MOST_LINES + 1) * LINE] room
    cdef real* a = <real*> (<size_t> room + LINE - <size_t> room % LINE)
    cdef real* a_last = a + all
    cdef real* delta = a_last + all
    cdef real* delta_last = delta + all
    cdef real* slope = delta_last + all
    cdef real* there = slope + all
    cdef real* turned = there + all
    cdef real* scale = there  # of the outputs, where the inputs' line would be
    cdef real* W
    clear((MOST_LINES - 16 + line) * all, a)
    for j in range(all):
        delta_last[j] = <real> -0.0  # a step of -0 leaves a weight of -0 as it is
    for j in range(n_L):
        scale[j] = <real> -steps.rate
    for l in range(1, last + 1):
        W = params + run.layers[l].offset
        transpose(
            run.layers[l].fan_in, run.layers[l].fan_out, W, line, turned + l * line * line, line
        )
        for j in range(run.layers[l].fan_out):
            there[l * line + j] = 1
    end = position + n
    for s in range(position, end + 1):
        if s < end:
            i = run.order[s]
            load(run.inputs, i, a)
            copy(n_L, <const real*> run.Y + i * n_L, delta + last * line)
        layer, i = run.layers, 0
        while i < last * line:
            layer, i = layer + 1, i + line
            W = params + layer.offset
            advance(
                layer.fan_in, decay, W, W + layer.fan_in * line, a_last + i - line,
                delta_last + i, a + i - line, a + i,
            )  # fmt: skip
            activate_line(<int> layer.activation, layer.fan_out, there + i, a + i, slope + i)
        if s == end:
            break  # the last updates are made
        if steps.costs != NULL:
            steps.costs[s] = output_cost(run.cost, n_L, a + i, delta + i)
        output_delta_line(
            run.cost, <int> layer.activation, n_L, a + i, scale, slope + i, delta + i
        )
        while i > line:
            advance(
                layer.fan_out, decay, turned + i * line, NULL, delta_last + i,
                a_last + i - line, delta + i, delta + i - line,
            )  # fmt: skip
            layer, i = layer - 1, i - line
            times_line(slope + i, delta + i)
        a, a_last, delta, delta_last = a_last, a, delta_last, delta
        decay = <real> (steps.decay - steps.rate * steps.rule.alpha)
