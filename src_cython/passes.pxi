# Whole passes, block by block of samples. Each is entered with the type still open, and goes on
# in the network's.

cdef double CLOCK_WORK = 1e5  # multiply-adds between two looks at the clock: some 50 microseconds


cdef void forward(
    const Pass* run, Py_ssize_t start, Py_ssize_t stop, void* out
) noexcept nogil:
    """Compute the output activations of samples start to stop, and those rows of out (n, n_L)."""
    cdef fastbp_mode mode = flush_subnormals()
    if run.itemsize == sizeof(float):
        forward_of(run, start, stop, <const float*> run.params, <float*> run.scratch, <float*> out)
    else:
        forward_of(
            run, start, stop, <const double*> run.params, <double*> run.scratch, <double*> out
        )
    restore(mode)


cdef void forward_of(
    const Pass* run,
    Py_ssize_t start,
    Py_ssize_t stop,
    const real* params,
    real* scratch,
    real* out,
) noexcept nogil:
    cdef const Layer* last = run.layers + run.last
    cdef const real* a = scratch + run.rows * last.unit
    cdef bint sparse = lists_pay(run, start, stop)
    cdef Py_ssize_t s, n
    while start < stop:
        n = min(run.rows, stop - start)
        block_forward(run, params, scratch, start, 0, n, NULL, sparse, NULL)
        for s in range(n):
            copy(last.fan_out, a + s * last.width, out + (start + s) * last.fan_out)
        start += n


cdef void bring_targets(
    const Pass* run,
    const real* Y,
    Py_ssize_t position,  # of sample 0 of scratch in the order
    Py_ssize_t first,
    Py_ssize_t n,
    real* scratch,  # OUT  targets in place of the last delta
) noexcept nogil:
    """Bring the targets of n samples, from the first on, to where backward expects them."""
    cdef const Layer* out = run.layers + run.last
    cdef real* deltas = scratch + run.rows * total_width(run.layers, run.last)
    cdef real* delta = deltas + run.rows * out.unit
    cdef Py_ssize_t s, i
    for s in range(first, first + n):
        i = run.order[position + s]
        copy(out.fan_out, Y + i * out.fan_out, delta + s * out.width)


cdef fastbp_ahead samples_ahead(Inputs inputs, Py_ssize_t rows, Py_ssize_t fan_in) noexcept nogil:
    """Return what to fetch while the first layer's update runs: samples, yet to be named."""
    cdef fastbp_ahead ahead
    ahead.starts = inputs.starts
    if inputs.records != NULL:  # of one length: the whole of most of them
        ahead.rows = inputs.records
        ahead.bytes = inputs.starts[inputs.n] // inputs.n * 5 // 4
    elif inputs.floats != NULL:
        ahead.rows = <const char*> inputs.floats
        ahead.bytes = inputs.n_0 * <Py_ssize_t> sizeof(float)
    else:
        ahead.rows = <const char*> inputs.doubles
        ahead.bytes = inputs.n_0 * <Py_ssize_t> sizeof(double)
    ahead.which, ahead.n, ahead.done = NULL, 0, 0
    ahead.lines = <int> (1 + 8 * rows * (ahead.bytes // LINE + 1) // fan_in)
    return ahead


cdef void look_ahead(
    const Pass* run, const real* Y, Py_ssize_t position, Py_ssize_t n, fastbp_ahead* ahead
) noexcept nogil:
    """Name n samples that come next; fetch already their targets and where their records are."""
    cdef Py_ssize_t s, n_L = run.layers[run.last].fan_out
    ahead.which, ahead.n, ahead.done = run.order + position, max(0, n), 0
    for s in range(position, position + n):
        prefetch(Y + run.order[s] * n_L)
        prefetch(Y + run.order[s] * n_L + n_L - 1)
        if ahead.starts != NULL:
            prefetch(ahead.starts + run.order[s])


cdef double penalties(
    const Layer* layers,
    Py_ssize_t last,
    const real* params,  # IN
    const Rule* rule,    # IN  with l2 of this mini-batch
) noexcept nogil:
    """Return the penalties of the weights, as parts of a sample's mean cost.

    Padding is 0 and adds nothing; AdamW's decay is no part of the cost.
    """
    cdef double l2 = 0 if rule.optimizer == ADAMW else rule.l2, total = 0
    cdef Py_ssize_t l, n
    for l in range(1, last + 1):
        n = layers[l].fan_in * layers[l].width
        if l2 != 0:
            total += 0.5 * l2 * squares(n, params + layers[l].offset)
        if rule.l1 != 0:
            total += rule.l1 * absolutes(n, params + layers[l].offset)
    return total


cdef double absolutes(Py_ssize_t n, const real* W) noexcept nogil:
    """Return the sum of the absolute values of n numbers; n is a multiple of 8."""
    # Eight sums side by side: in a single one each addition waits for the last.
    cdef double[8] sums
    cdef double total = 0
    cdef Py_ssize_t i, j
    for j in range(8):
        sums[j] = 0
    for i from 0 <= i < n by 8:
        for j in range(8):
            sums[j] += fabs(<double> W[i + j])
    for j in range(8):
        total += sums[j]
    return total


cdef Py_ssize_t train(const Pass* run, const Steps* steps) noexcept nogil:
    """Take the mini-batches of the order from a position on; return the position reached.

    The threads of a team share each block of samples: first every one carries its own
    samples forward and backward, then it updates its own rows of parameters from all
    samples. Each number is computed by one thread, of the same terms in the same order
    whatever the parts. Where ``abort`` has been called, as one thread never came, the
    others return with nothing changed.
    """
    cdef fastbp_mode mode = flush_subnormals()
    cdef Py_ssize_t position
    if run.itemsize == sizeof(float):
        position = train_of(run, steps, <float*> steps.params, <float*> run.scratch)
    else:
        position = train_of(run, steps, <double*> steps.params, <double*> run.scratch)
    restore(mode)
    return position


cdef Py_ssize_t train_of(
    const Pass* run, const Steps* steps, real* params, real* scratch
) noexcept nogil:
    cdef const Layer* layers = run.layers
    cdef Py_ssize_t last = run.last, rows = run.rows, n = run.n
    cdef Py_ssize_t part = steps.part, parts = steps.parts, batch = steps.batch
    cdef Py_ssize_t position = steps.position, first, end, count, own, n_own
    cdef real* grads = <real*> steps.grads
    cdef real* turned = <real*> run.turned
    cdef real* deltas = scratch + rows * total_width(layers, last)
    cdef real decay = <real> steps.decay, step
    cdef Rule rule = steps.rule
    cdef const real* weights = <const real*> run.weights
    cdef const Dropout* dropout = &steps.dropout if steps.dropout.rates != NULL else NULL
    cdef bint plain = steps.rule.optimizer == PLAIN and steps.rule.l1 == 0
    cdef double looked = clock(), now, deadline = looked + steps.seconds, work = 0.0, total = 0.0
    cdef double alpha, added = 0.0
    cdef bint leave = False, sparse = run.inputs.records != NULL or lists_pay(run, position, n)
    cdef int start
    cdef Py_ssize_t s
    cdef fastbp_ahead ahead = samples_ahead(run.inputs, rows, layers[1].fan_in)
    if is_tiny(run, steps, params):
        return train_tiny(run, steps, params)
    while position < n and not leave:
        first = position - position % batch
        end = min(first + batch, n)
        count = min(rows, end - position)
        # Whole pairs, as lists are of pairs.
        own = min(count, 2 * share((count + 1) // 2, part, parts))
        n_own = min(count, 2 * share((count + 1) // 2, part + 1, parts)) - own
        bring_targets(run, <const real*> run.Y, position, own, n_own, scratch)
        look_ahead(
            run, <const real*> run.Y, position + count + own,
            min(n_own, n - position - count - own), &ahead,
        )  # fmt: skip
        block_forward(run, params, scratch, position, own, n_own, dropout, sparse, &ahead)
        total = <double> (end - first)
        if weights != NULL:
            total = 0
            for s in range(first, end):
                total += weights[run.order[s]]
        alpha = steps.rule.alpha if total > 0 else 0
        total = total if total > 0 else 1  # all are 0, and so is the gradient
        rule.l2 = steps.rule.l2 + alpha / total
        decay = <real> (steps.decay - steps.rate * alpha / total)
        if steps.costs != NULL:
            block_costs(
                layers, last, scratch, rows, own, n_own, run.cost, steps.costs + position + own
            )
            # Each thread sums all weights, so that no bit depends on the number of threads.
            if position == first or position == steps.position:
                added = penalties(layers, last, params, &rule)
            for s in range(position + own, position + own + n_own):
                if weights != NULL:
                    steps.costs[s] *= weights[run.order[s]] * <double> (end - first) / total
                steps.costs[s] += added
        # Backpropagation is linear in the output error: scaled there, deltas are steps.
        step = <real> (-steps.rate / total if plain else 1 / total)
        block_errors(layers, last, scratch, rows, own, n_own, run.cost, step)
        block_backward(params, layers, last, scratch, turned, rows, own, n_own, dropout)
        if weights != NULL:
            for s in range(own, own + n_own):
                scale_errors(layers, last, scratch, rows, s, weights[run.order[position + s]])
        if steps.max_norm < INFINITY:
            clip(run, position, scratch, own, n_own, steps.max_norm * fabs(step), <real*> NULL)
        if parts > 1 and not meet(steps.team, parts):
            break
        if plain and position == first and count == end - first:
            # The whole mini-batch at once: straight to the parameters.
            block_gradient(
                layers, last, scratch, deltas, rows, count, FROM_C, decay, turned, part, parts,
                params, &ahead, sparse,
            )  # fmt: skip
        else:
            start = FROM_ZERO if position == first else FROM_C
            block_gradient(
                layers, last, scratch, deltas, rows, count, start, <real> 1, turned, part, parts,
                grads, &ahead, sparse,
            )  # fmt: skip
            if position + count == end and plain:
                block_update(layers, last, grads, decay, part, parts, params)
            elif position + count == end:
                block_optimize(
                    layers, last, &rule, steps.rate, rule.updates + first // batch + 1, grads,
                    part, parts, params,
                )  # fmt: skip
        position += count
        work += <double> count * <double> n_params(layers, last)
        if work > CLOCK_WORK:
            work = 0.0
            now = clock()
            leave = now + (now - looked) > deadline  # the next stretch would end too late
            looked = now
        if parts > 1:
            leave = agree(steps.team, parts, part, leave)
    return position


cdef bint all_finite(Py_ssize_t itemsize, Py_ssize_t n, const void* values) noexcept nogil:
    """Whether no value is NaN or infinite."""
    if itemsize == sizeof(float):
        return finite(n, <const float*> values)
    return finite(n, <const double*> values)
