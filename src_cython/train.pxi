# An epoch of SGD: for each mini-batch the forward pass, the backward pass and the update.

cdef double CLOCK_WORK = 1e5  # multiply-adds between two looks at the clock: some 50 microseconds


cdef PrefetchQueue prefetch_queue(
    Samples samples, Py_ssize_t rows, Py_ssize_t fan_in
) noexcept nogil:
    """Return a queue of samples to prefetch while the first layer is computed, still empty."""
    cdef PrefetchQueue queue
    queue.starts = NULL
    if FAST_PATHS and samples.packed is not None and samples.n > 0:
        # Of each sample as many bytes: 5/4 of their mean, the whole of most.
        queue.rows, queue.starts = <const char*> &samples.packed[0], &samples.starts[0]
        queue.bytes = samples.starts[samples.n] // samples.n * 5 // 4
    elif samples.floats is not None:
        queue.rows = <const char*> &samples.floats[0, 0]
        queue.bytes = samples.n_0 * <Py_ssize_t> sizeof(float)
    else:
        queue.rows = <const char*> &samples.doubles[0, 0]
        queue.bytes = samples.n_0 * <Py_ssize_t> sizeof(double)
    queue.which, queue.n, queue.done = NULL, 0, 0
    queue.lines = <int> (1 + 8 * rows * (queue.bytes // LINE + 1) // fan_in)
    return queue


cdef void queue_next(
    PrefetchQueue* queue,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,
    Py_ssize_t n,
) noexcept nogil:
    """Put the n samples that come next into the queue; prefetch their targets at once."""
    cdef Py_ssize_t s
    queue.n, queue.done = max(0, n), 0
    if queue.n > 0:
        queue.which = &order[position]
    for s in range(position, position + n):
        prefetch_line(<const void*> &Y[order[s], 0])
        prefetch_line(<const void*> &Y[order[s], Y.shape[1] - 1])
        if queue.starts != NULL:
            prefetch_line(<const void*> (queue.starts + order[s]))


cdef Py_ssize_t train_epoch(
    const Layer[::1] layers,
    real[::1] params,
    real[::1] grads,
    real[:, ::1] a,
    real[:, ::1] delta,
    real[:, ::1] kept,            # WORK of dropout
    real[:, ::1] factors,         # WORK
    real* transposed,             # WORK of this thread
    Samples samples,
    const real[:, ::1] Y,
    const real[::1] weights,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,
    Py_ssize_t batch,
    int cost,
    double learning_rate,
    double weight_factor,
    double seconds,
    Options options,
    real[::1] moments,
    Py_ssize_t* team,             # state of the barrier
    Py_ssize_t thread_id,
    Py_ssize_t n_threads,
) noexcept nogil:
    """Train on the mini-batches of the order from a position on; return the position reached.

    Threads share each block of samples: each does the forward and backward pass of its own samples,
    then updates its own rows of parameters from all samples. Each number is computed by one thread,
    from the same terms in the same order, however many threads there are. When ``abort`` has been
    called, because one thread never came, the others return with nothing changed.
    """
    cdef Py_ssize_t rows = a.shape[0], n = order.shape[0], last = layers.shape[0] - 1
    cdef const Layer* output = &layers[last]
    cdef Py_ssize_t at = output.activation_offset, first, end, count, own, n_own, s
    cdef Py_ssize_t begin = position
    cdef real decay, step
    cdef Rule rule = options.rule
    cdef bint plain = rule.optimizer == PLAIN and rule.l1 == 0
    cdef double looked = clock(), now, deadline = looked + seconds, work = 0, total = 0
    cdef double alpha, added = 0
    cdef bint leave = False, packed = packing_pays(samples, order, position, n)
    cdef PrefetchQueue queue = prefetch_queue(samples, rows, layers[1].fan_in)
    while position < n and not leave:
        first = position - position % batch
        end = min(first + batch, n)
        count = min(rows, end - position)
        # Each thread has whole pairs of samples: a list of nonzero inputs is of a pair.
        own = min(count, 2 * share((count + 1) // 2, thread_id, n_threads))
        n_own = min(count, 2 * share((count + 1) // 2, thread_id + 1, n_threads)) - own
        load_targets(layers, Y, order, position, own, n_own, delta)
        queue_next(
            &queue, Y, order, position + count + own, min(n_own, n - position - count - own)
        )
        forward_block(
            layers, params, a, delta, transposed, samples, order, position, own, n_own, packed,
            True, &queue, options, kept, factors,
        )  # fmt: skip
        total = <double> (end - first)
        if weights is not None:
            total = 0
            for s in range(first, end):
                total += weights[order[s]]
        alpha = rule.alpha if total > 0 else 0
        total = total if total > 0 else 1  # all weights are 0, and so is the gradient
        rule.l2 = options.rule.l2 + alpha / total
        decay = <real> (weight_factor - learning_rate * alpha / total)
        if options.costs is not None:
            # Each thread sums all parameters, so that no bit depends on the number of threads.
            if position == first or position == begin:
                added = penalties(layers, params, &rule)
            for s in range(own, own + n_own):
                options.costs[position + s] = output_cost(
                    cost, output.fan_out, <const real*> &a[s, at], <const real*> &delta[s, at]
                )
                if weights is not None:
                    options.costs[position + s] *= (
                        weights[order[position + s]] * <double> (end - first) / total
                    )
                options.costs[position + s] += added
        # Backpropagation is linear in the output error: scaled by -eta/n there, the gradient is
        # the update.
        step = <real> (-learning_rate / total if plain else 1 / total)
        output_error(  # BP1
            cost, output, n_own, <const real*> &a[own, at], a.shape[1], step, &delta[own, at],
            delta.shape[1],
        )  # fmt: skip
        backward_block(  # BP2
            layers, params, a, delta, transposed, options, kept, factors, own, n_own
        )
        if weights is not None:
            for s in range(own, own + n_own):
                scale_errors(layers, delta, s, weights[order[position + s]])
        if options.max_norm < INFINITY:
            clip(
                layers, a, delta, own, n_own, packed, options.max_norm * fabs(step), <real*> NULL
            )
        if n_threads > 1 and not barrier(team, n_threads):
            break
        if plain and position == first and count == end - first:
            # The whole mini-batch is here: BP3, BP4 and the update of the parameters in one.
            add_gradient(
                layers, a, delta, delta, count, FROM_C, decay, transposed, thread_id, n_threads,
                params, packed, &queue,
            )  # fmt: skip
        else:
            add_gradient(  # BP3, BP4
                layers, a, delta, delta, count, FROM_ZERO if position == first else FROM_C,
                <real> 1, transposed, thread_id, n_threads, grads, packed, &queue,
            )  # fmt: skip
            if position + count == end and plain:
                add_steps(layers, grads, decay, thread_id, n_threads, params)
            elif position + count == end:
                apply_rule(
                    layers, &rule, learning_rate, rule.updates + first // batch + 1, grads,
                    thread_id, n_threads, moments, params,
                )  # fmt: skip
        position += count
        work += <double> count * <double> params.shape[0]
        if work > CLOCK_WORK:
            work = 0
            now = clock()
            leave = now + (now - looked) > deadline  # else the next look would be too late
            looked = now
        if n_threads > 1:
            leave = broadcast(team, n_threads, thread_id, leave)
    return position
