"""Bugs of the compiled core."""

BUGS = {
    # -- blocks of samples
    "kernels that do nothing": (
        "src_cython/backprop.pxi",
        [
            (f'    """{first_words}', f'    return\n    """{first_words}')
            for first_words in (
                "Compute z = a W + bias",
                "Compute W delta",
                "Compute a^T delta",
                "Sum the gradient of n samples",
            )
        ],
    ),
    "no bias in the forward pass of a block": (
        "src_cython/backprop.pxi",
        [("start, n, layer.width, layer.fan_in", "FROM_ZERO, n, layer.width, layer.fan_in")],
    ),
    "no gradient of the bias": (
        "src_cython/backprop.pxi",
        [("cdef real one = 1\n", "cdef real one = 0\n")],
    ),
    "the last row of a block is skipped": (
        "src_cython/backprop.pxi",
        [
            (
                "start, high - low, layer.width, n, inputs",
                "start, high - low, layer.width, n - (n > 1), inputs",
            )
        ],
    ),
    "the last input is skipped": (
        "src_cython/backprop.pxi",
        [("layer.width, layer.fan_in, &a[first", "layer.width, layer.fan_in - 1, &a[first")],
    ),
    "the last output is skipped on the way back": (
        "src_cython/backprop.pxi",
        [("columns, layer.fan_out, &params", "columns, layer.fan_out - 1, &params")],
    ),
    "no slope in the hidden layers": (
        "src_cython/backprop.pxi",
        [("below, n, &a[first, at]", "below, 0, &a[first, at]")],
    ),
    "each thread adds to the biases": (
        "src_cython/backprop.pxi",
        [("        if high > fan_in:", "        if high >= 0:")],
    ),
    "transposed activations without the last square": (
        "src_cython/backprop.pxi",
        [
            (
                "transpose(n, high - low, inputs",
                "transpose(n, high - low - (high - low) % 16, inputs",
            )
        ],
    ),
    "biases do not take the sums of many samples": (
        "src_cython/backprop.pxi",
        [
            (
                "layer.width, <const real*> NULL, one,\n                NULL,",
                "layer.width, <const real*> NULL, <real> 0,\n                NULL,",
            )
        ],
    ),
    "decay on biases where a block is a mini-batch": (
        "src_cython/backprop.pxi",
        [
            (
                "layer.width, <const real*> NULL, one,\n                NULL,",
                "layer.width, <const real*> NULL, scale,\n                NULL,",
            )
        ],
    ),
    "the bias is no thread's share": (
        "src_cython/backprop.pxi",
        [
            (
                "high = share(fan_in + 1, thread_id + 1, n_threads)",
                "high = share(fan_in, thread_id + 1, n_threads)",
            )
        ],
    ),
    "errors of the inputs' padding are not cleared": (
        "src_cython/backprop.pxi",
        [
            (
                "        clear(layers[l - 1].width - layer.fan_in, &below[s, at + layer.fan_in])\n",
                "        pass\n",
            )
        ],
    ),
    "dropped neurons hand back errors": (
        "src_cython/backprop.pxi",
        [("delta[s, k] *= factors[s, k]", "delta[s, k] *= 1")],
    ),
    "the slope of what was dropped is that of 0": (
        "src_cython/backprop.pxi",
        [("below, n, &kept[first, at]", "below, n, &a[first, at]")],
    ),
    "dropout draws the same in every mini-batch": (
        "src_cython/backprop.pxi",
        [
            (
                "apply_dropout(options, layers, l, position + first,",
                "apply_dropout(options, layers, l, first,",
            )
        ],
    ),
    "the last share of the rows is too small": (
        "src_cython/backprop.pxi",
        [("else n * thread_id // n_threads", "else n // n_threads * thread_id")],
    ),
    "the permutation is ignored": (
        "src_cython/backprop.pxi",
        [("i = sample_at(order, position + s)", "i = position + s")],
    ),
    "clipping leaves the output layer": (
        "src_cython/backprop.pxi",
        [
            (
                "    for l in range(1, layers.shape[0]):\n        at = layers[l].activation_offset\n"
                "        for j",
                "    for l in range(1, max(layers.shape[0] - 1, 2)):\n"
                "        at = layers[l].activation_offset\n        for j",
            )
        ],
    ),
    # -- tiles
    "few samples: no bias": (
        "src_cython/simd_vector.h",
        [("total = start[s * start_row + i] +", "total =")],
    ),
    "few samples: what is left of a sum is skipped": (
        "src_cython/simd_vector.h",
        [("p = n / SIZE * SIZE; p < n", "p = n / SIZE * SIZE; p < n - 1")],
    ),
    "few samples: long sums start anew": (
        "src_cython/simd_vector.h",
        [("p ? z : bias + i", "bias + i")],
    ),
    "few samples: the last columns are skipped": (
        "src_cython/simd_vector.h",
        [("j < n) {", "j + SIZE <= n) {")],
    ),
    "a single row is skipped": (
        "src_cython/simd_vector.h",
        [("while (n_rows > 0)", "while (n_rows > 1)")],
    ),
    "long sums start anew": (
        "src_cython/simd_vector.h",
        [("columns, from, done == 0, n_rows", "columns, from, 1, n_rows")],
    ),
    "a packed panel repeats its first row": (
        "src_cython/simd_vector.h",
        [
            (
                "packed[p * columns + v] = ((const VEC *)(Y + p * y_row))",
                "packed[p * columns + v] = ((const VEC *)Y)",
            )
        ],
    ),
    "half a tile: the second column of vectors is that of the first": (
        "src_cython/simd_vector.h",
        [
            (
                "y[v] = ((const VEC *)(Y + p * y_row))[v];\\",
                "y[v] = ((const VEC *)(Y + p * y_row))[0];\\",
            )
        ],
    ),
    "a scaled start is not scaled": (
        "src_cython/simd_vector.h",
        [
            (
                "acc[i][v] = scale * ((const VEC *)(before",
                "acc[i][v] = ((const VEC *)(before",
            )
        ],
    ),
    "all tiles start from the first rows": (
        "src_cython/simd_vector.h",
        [("        before += rows * before_row;\n", "")],
    ),
    "all tiles are added to the first rows": (
        "src_cython/simd_vector.h",
        [("        after += rows * after_row;\n", "")],
    ),
    "a sum that is added last is added to weights without decay": (
        "src_cython/simd_vector.h",
        [("scale * ((const VEC *)(after +", "((const VEC *)(after +")],
    ),
    "tiny steps of many samples are rounded one by one": (
        "src_cython/simd_vector.h",
        [("at_once = from == FROM_C && n == 1;", "at_once = from == FROM_C;")],
    ),
    "a single term is added last": (
        "src_cython/simd_vector.h",
        [("at_once = from == FROM_C && n == 1;", "at_once = 0;")],
    ),
    "a sum of -0 is 0": (
        "src_cython/simd_vector.h",
        [("= (REAL)-0.0};", "= (REAL)0.0};")],
    ),
    "columns beyond the first panel start from its row": (
        "src_cython/simd_vector.h",
        [("if (from == FROM_ROW) row += columns * SIZE;", ";")],
    ),
    "a transpose without its last row of samples": (
        "src_cython/simd_vector.h",
        [
            (
                "for (ptrdiff_t i = i_whole; i < i_1; i++)",
                "for (ptrdiff_t i = i_whole; i < i_1 - 1; i++)",
            )
        ],
    ),
    "a small sum takes no part of the step": (
        "src_cython/simd_vector.h",
        [("if (B) total += scale * B[i * c_row + j];", "")],
    ),
    "few samples: a sum that is added last is added to weights without decay": (
        "src_cython/simd_vector.h",
        [("if (B) acc[i][v] += scale * *(const", "if (B) acc[i][v] += *(const")],
    ),
    "a value that is not finite is overlooked at the end": (
        "src_cython/simd_vector.h",
        [
            (
                "for (; i < n; i++) last += 0 * values[i];",
                "for (; i < n - 1; i++) last += 0 * values[i];",
            )
        ],
    ),
    "a value that is not finite is overlooked at the start": (
        "src_cython/simd_vector.h",
        [
            (
                "bad[0] = (bad[0] + bad[1]) + (bad[2] + bad[3]);",
                "bad[0] = bad[1] + (bad[2] + bad[3]);",
            )
        ],
    ),
    "norms leave out what is left of a vector": (
        "src_cython/simd_vector.h",
        [
            (
                "for (; i < n; i++) total += (double)values[i]",
                "for (; i < 0; i++) total += (double)values[i]",
            )
        ],
    ),
    "gradients of samples: the last vector is left out": (
        "src_cython/simd_vector.h",
        [("    *(LOOSE *)(C - SIZE) = d[n_rows - 1] * *(const LOOSE *)edge;\n", "")],
    ),
    "gradients of samples: the first vector is left out": (
        "src_cython/simd_vector.h",
        [("    *(LOOSE *)C = d[0] * *(const LOOSE *)a;\n", "")],
    ),
    "a line of two rows of a sample's gradient takes one error": (
        "src_cython/simd_vector.h",
        [("d[j + 1] - (VEC){0});", "factor - (VEC){0});")],
    ),
    "a line of two rows of a sample's gradient is out of step": (
        "src_cython/simd_vector.h",
        [("(edge + SIZE - (n - k));", "(edge + SIZE - (n - k) - 1);")],
    ),
    "no lower end of the sigmoid": (
        "src_cython/simd_vector.h",
        [("return NAME(choose)(z < -LARGEST, (VEC){0}, a);", "return a;")],
    ),
    "no upper end of the sigmoid": (
        "src_cython/simd_vector.h",
        [("z > LARGEST, (VEC){0} + 1, 1 /", "z != z, (VEC){0} + 1, 1 /")],
    ),
    "activations leave out the last vector of a layer": (
        "src_cython/simd_vector.h",
        [
            (
                "for (; n_rows > 0; n_rows--, z += row)                                               \\\n"
                "            for (ptrdiff_t j = 0; j < n; j += SIZE)",
                "for (; n_rows > 0; n_rows--, z += row)                                               \\\n"
                "            for (ptrdiff_t j = 0; j + SIZE < n; j += SIZE)",
            )
        ],
    ),
    "activations leave out the last sample": (
        "src_cython/simd_vector.h",
        [("for (; n_rows > 0; n_rows--, z += row)", "for (; n_rows > 1; n_rows--, z += row)")],
    ),
    "softplus loses its tail": ("src_cython/simd_vector.h", [("2 * (s + s * s2 * sum)", "2 * s")]),
    # -- threads
    "threads do not wait for each other": (
        "src_cython/threads.h",
        [("[ARRIVALS]) < all", "[ARRIVALS]) < 0")],
    ),
    "a thread that never comes is waited for": (
        "src_cython/threads.h",
        [("        if (LOAD(&team[ABORTED])) return 0;\n", "")],
    ),
    # -- samples one at a time
    "few samples: no slope": (
        "src_cython/public_arrays.pxi",
        [("below, n, &a[0, inputs]", "below, 0, &a[0, inputs]")],
    ),
    "few samples: the last errors are left out of the bias": (
        "src_cython/public_arrays.pxi",
        [
            (
                "    for s in range(n):\n        for j in range(layer.fan_out):",
                "    for s in range(n - (n > 1)):\n        for j in range(layer.fan_out):",
            )
        ],
    ),
    "few samples: no decay": (
        "src_cython/public_arrays.pxi",
        [("w if add else NULL, weight_factor, out_w", "w if add else NULL, <real> 1, out_w")],
    ),
    "few samples: doubles beyond float32 are not cut": (
        "src_cython/public_arrays.pxi",
        [("<real> max(min(doubles[k], BOUND), -BOUND)", "<real> doubles[k]")],
    ),
    "few samples: NaN in inputs is not seen": (
        "src_cython/public_arrays.pxi",
        [("good = finite(n, doubles)", "good = True")],
    ),
    "few samples: a step that is not finite is taken": (
        "src_cython/public_arrays.pxi",
        [("    return bad == 0", "    return True")],
    ),
    "the gate of the core takes any shape": (
        "src_cython/public_arrays.pxi",
        [("        and view.shape[0] == n\n", "")],
    ),
    "the gate of the core takes foreign bytes": (
        "src_cython/public_arrays.pxi",
        [
            (
                '(view.format[0] == c"d" or view.format[0] == c"f")  # no order of bytes before it',
                "True",
            )
        ],
    ),
    "the gate of the core takes subclasses": (
        "src_cython/public_arrays.pxi",
        [
            (
                "    if type(array) is not NDARRAY:\n        return False\n    try:",
                "    try:",
            )
        ],
    ),
    "the gate of the core takes any width": (
        "src_cython/public_arrays.pxi",
        [("        and view.shape[1] == m\n", "")],
    ),
    "the gate of the core writes to what is to be read alone": (
        "src_cython/public_arrays.pxi",
        [("PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags", "PyBUF_C_CONTIGUOUS | PyBUF_FORMAT")],
    ),
    "the core does not look whether a layer is missing": (
        "src_cython/public_arrays.pxi",
        [
            (
                "type(arrays) is not list or len(<list> arrays) != layers.shape[0] - 1",
                "type(arrays) is not list",
            )
        ],
    ),
    "the core finds NaN in no parameter": (
        "src_cython/public_arrays.pxi",
        [("if search and short:", "if False:"), ("elif search:", "elif False:")],
    ),
    "a layer that is not finite is overlooked where others follow": (
        "src_cython/public_arrays.pxi",
        [("        if not good:\n            return False\n    return True", "    return good")],
    ),
    "padding of a block is not cleared": (
        "src_cython/public_arrays.pxi",
        [
            (
                "    for k in range(layer.fan_in + 1):\n"
                "        clear(layer.width - layer.fan_out, W + k * layer.width + layer.fan_out)",
                "    pass",
            )
        ],
    ),
    "a block keeps the biases for itself": (
        "src_cython/public_arrays.pxi",
        [("            copy(layer.fan_out, W + layer.fan_in * layer.width, b)\n", "")],
    ),
    "few samples: what a long pass reads is not held": (
        "src_cython/public_arrays.pxi",
        [
            (
                "        hold_all([biases, weights, pairs, new_b, new_w], held)\n",
                "        pass\n",
            )
        ],
    ),
    "few samples: garbage is never collected again": (
        "src_cython/public_arrays.pxi",
        [("    bint PyGC_Enable() noexcept", '    bint PyGC_Enable "PyGC_IsEnabled"() noexcept')],
    ),
    "few samples: lists may change while they are read": (
        "src_cython/public_arrays.pxi",
        [("return (<list> arrays)[:] if type(arrays) is list else arrays", "return arrays")],
    ),
    # -- functions
    "the last neuron's padding learns": (
        "src_cython/functions.pxi",
        [("            delta[s * row + j] = 0\n", "            pass\n")],
    ),
    "softmax of what is not below the largest": (
        "src_cython/functions.pxi",
        [("        z[j] -= largest", "        z[j] -= 0")],
    ),
    "softmax: the last sample is left out": (
        "src_cython/functions.pxi",
        [
            (
                "exponential(n, width, a, row)\n        for",
                "exponential(n - 1, width, a, row)\n        for",
            )
        ],
    ),
    "no curvature": (
        "src_cython/functions.pxi",
        [("factor[j] *= one - two * a[j]", "factor[j] *= one")],
    ),
    "the change of the quadratic cost's error has no slope": (
        "src_cython/functions.pxi",
        [("        multiply_by_slope(layer, 1, a, 0, change, 0)\n", "")],
    ),
    "tanh has no slope": ("src_cython/functions.pxi", [("(one - a[j]) * (one + a[j])", "one")]),
    "leaky neurons leak nothing on the way back": (
        "src_cython/functions.pxi",
        [("one if a[j] > 0 else <real> LEAK", "one if a[j] > 0 else <real> 0")],
    ),
    "softmax is not normalised": ("src_cython/functions.pxi", [("z[j] /= total", "z[j] /= 1")]),
    "the log-likelihood takes its targets for one-hot": (
        "src_cython/functions.pxi",
        [
            (
                "total += delta[s * row + j]",
                "total += delta[s * row + j] * 0 + <real> 1 / layer.fan_out",
            )
        ],
    ),
    "every sample has the slope of the first": (
        "src_cython/functions.pxi",
        [("        a += a_row\n        delta += row\n", "        delta += row\n")],
    ),
    "the cost of what is 0 is left out": (
        "src_cython/functions.pxi",
        [("if y[j] != 1:", "if y[j] == 0:")],
    ),
    "the quadratic cost is not halved": (
        "src_cython/functions.pxi",
        [("total += 0.5 * (<double> a[j] - y[j])", "total += (<double> a[j] - y[j])")],
    ),
    # -- samples
    "doubles beyond float32 are not cut": (
        "src_cython/samples.pxi",
        [("<real> max(min(samples.doubles[i, k], BOUND), -BOUND)", "<real> samples.doubles[i, k]")],
    ),
    # -- optimizers and options
    "the second moment is forgotten": (
        "src_cython/optimizers.pxi",
        [
            (
                "u[v + i] = nu * u[v + i] + left * gradient * gradient",
                "u[v + i] = left * gradient * gradient",
            )
        ],
    ),
    "the second moment lies in the first's place": (
        "src_cython/optimizers.pxi",
        [("v = w.shape[0]  #", "v = 0  #")],
    ),
    "moments are not corrected": (
        "src_cython/optimizers.pxi",
        [("1 - pow(rule.beta_2, <double> t)", "1 - 0 * pow(rule.beta_2, <double> t)")],
    ),
    "Nesterov's steps are plain momentum": (
        "src_cython/optimizers.pxi",
        [("w[i] += mu * u[i] - gradient", "w[i] += u[i]")],
    ),
    "biases are penalised": (
        "src_cython/optimizers.pxi",
        [("optimize(rule, bias, high, False,", "optimize(rule, bias, high, True,")],
    ),
    "no penalty of sizes": (
        "src_cython/optimizers.pxi",
        [("return l1 if w > 0 else", "return 0 if w > 0 else")],
    ),
    "decay on biases": (
        "src_cython/optimizers.pxi",
        [("params[i] += steps[i]", "params[i] = weight_factor * params[i] + steps[i]")],
    ),
    "no decay": (
        "src_cython/optimizers.pxi",
        [
            (
                "params[i] = weight_factor * params[i] + steps[i]",
                "params[i] = params[i] + steps[i]",
            )
        ],
    ),
    "steps of several blocks leave out the biases": (
        "src_cython/optimizers.pxi",
        [
            (
                "share(layer.fan_in + 1, thread_id, n_threads)",
                "share(layer.fan_in, thread_id, n_threads)",
            )
        ],
    ),
    "momentum is forgotten": (
        "src_cython/optimizers.pxi",
        [("u[i] = mu * u[i] - eta * (g[i]", "u[i] = -eta * (g[i]")],
    ),
    "AdamW's decay is a penalty too": (
        "src_cython/optimizers.pxi",
        [("kept, l2 = 1 - eta * l2, 0", "kept = 1 - eta * l2")],
    ),
    "epsilon is always that of algorithm 1": (
        "src_cython/optimizers.pxi",
        [("if rule.epsilon_hat:", "if not rule.epsilon_hat:")],
    ),
    "the decay of AdamW counts as a cost": (
        "src_cython/optimizers.pxi",
        [("0 if rule.optimizer == ADAMW else rule.l2", "rule.l2")],
    ),
    "kept neurons are not scaled up": (
        "src_cython/options.pxi",
        [("(1 / (1 - options.dropout[l]))", "1")],
    ),
    "every sample drops the same neurons": (
        "src_cython/options.pxi",
        [("<uint64_t> (position + s))", "<uint64_t> position)")],
    ),
    # -- training
    "a step divided by the full batch": (
        "src_cython/train.pxi",
        [("total = <double> (end - first)", "total = <double> batch")],
    ),
    "subnormal numbers stay flushed": (
        "src_cython/_core.pyx",
        [("            restore(mode)\n    return position", "    return position")],
    ),
    "mini-batches are divided by their samples, not their weights": (
        "src_cython/train.pxi",
        [("total += weights[order[s]]", "total += 1")],
    ),
    "the first sample of each mini-batch is skipped": (
        "src_cython/train.pxi",
        [
            (
                "        own = min(count, 2 * share((count + 1) // 2, thread_id, n_threads))\n",
                "        own = min(count, 2 * share((count + 1) // 2, thread_id, n_threads))\n"
                "        own += (own == 0 and count > 1)\n",
            )
        ],
    ),
    "the last mini-batch is skipped if it is short": (
        "src_cython/train.pxi",
        [
            (
                "    while position < n and not leave:",
                "    while position + batch <= n and not leave:",
            )
        ],
    ),
    "a pause within a mini-batch forgets its first part": (
        "src_cython/train.pxi",
        [("count, FROM_ZERO if position == first else FROM_C,", "count, FROM_ZERO,")],
    ),
    "every update is the optimizer's first": (
        "src_cython/train.pxi",
        [("rule.updates + first // batch + 1", "1")],
    ),
    "the clock is never looked at": (
        "src_cython/train.pxi",
        [("if work > CLOCK_WORK:", "if False:")],
    ),
    "alpha counts for each sample": (
        "src_cython/train.pxi",
        [("options.rule.l2 + alpha / total", "options.rule.l2 + alpha")],
    ),
    "plain steps know no alpha": (
        "src_cython/train.pxi",
        [("(weight_factor - learning_rate * alpha / total)", "weight_factor")],
    ),
    "a mini-batch that weighs nothing has a share of alpha": (
        "src_cython/train.pxi",
        [("alpha = rule.alpha if total > 0 else 0", "alpha = rule.alpha")],
    ),
    "the cost of a mini-batch has no penalty": (
        "src_cython/train.pxi",
        [("options.costs[position + s] += added", "options.costs[position + s] += 0")],
    ),
    "the cost of a mini-batch has no penalty after a pause within it": (
        "src_cython/train.pxi",
        [("if position == first or position == begin:", "if position == first:")],
    ),
    "the penalty of a mini-batch is that of the first weights": (
        "src_cython/train.pxi",
        [("if position == first or position == begin:", "if position == begin:")],
    ),
    "costs of a mini-batch are not weighted": (
        "src_cython/train.pxi",
        [("weights[order[position + s]] * <double>", "<double>")],
    ),
    "costs are weighted by their place in the order": (
        "src_cython/train.pxi",
        [("weights[order[position + s]] * <double>", "weights[position + s] * <double>")],
    ),
    "the costs of a block overwrite the last one's": (
        "src_cython/train.pxi",
        [("options.costs[position + s] = output_cost(", "options.costs[s] = output_cost(")],
    ),
    "a thread's costs go where the first one's do": (
        "src_cython/train.pxi",
        [
            (
                "options.costs[position + s] = output_cost(",
                "options.costs[position + s - own] = output_cost(",
            )
        ],
    ),
    "clipped steps are as long as clipped gradients": (
        "src_cython/train.pxi",
        [("options.max_norm * fabs(step)", "options.max_norm")],
    ),
    "threads share their room": (
        "src_cython/_core.pyx",
        [("&transposed[thread_id, 0],", "&transposed[0, 0],")],
    ),
    # -- gradients in other forms
    "gradients: sample weights are ignored": (
        "src_cython/gradients.pxi",
        [
            (
                "    if weights is not None:\n        for s in range(n):",
                "    if weights is not None:\n        for s in range(0):",
            )
        ],
    ),
    "norms without the biases": (
        "src_cython/gradients.pxi",
        [("* (1 + squares(", "* (squares(")],
    ),
    "norms of the first layer alone": (
        "src_cython/gradients.pxi",
        [
            (
                "    for l in range(1, layers.shape[0]):\n        total += layer_squared_norm",
                "    for l in range(1, 2):\n        total += layer_squared_norm",
            )
        ],
    ),
    "clipped gradients keep their length": (
        "src_cython/gradients.pxi",
        [("<real> (max_norm / size))", "<real> 1)")],
    ),
    "moments are not squared": (
        "src_cython/gradients.pxi",
        [
            (" a[s, j] *= a[s, j]", " a[s, j] *= 1"),
            (" delta[s, j] *= delta[s, j]", " delta[s, j] *= 1"),
        ],
    ),
    "sums of later blocks start anew": (
        "src_cython/gradients.pxi",
        [
            (
                "layers.table, a, delta, delta, n, FROM_C if position else FROM_ZERO",
                "layers.table, a, delta, delta, n, FROM_ZERO",
            )
        ],
    ),
    "gradients of samples: the last neuron is left out": (
        "src_cython/gradients.pxi",
        [
            (
                "outer_double(layer.fan_out, layer.fan_in",
                "outer_double(layer.fan_out - 1, layer.fan_in",
            )
        ],
    ),
    "the Jacobian without the slope of the outputs": (
        "src_cython/gradients.pxi",
        [
            (
                "output, n, <const real*> &a[0, at], a.shape[1], &delta",
                "output, 0, <const real*> &a[0, at], a.shape[1], &delta",
            )
        ],
    ),
    "the Hessian without the direction's bias": (
        "src_cython/gradients.pxi",
        [("v, a, dz, FROM_ROW, 0, n)", "v, a, dz, FROM_ZERO, 0, n)")],
    ),
    "the Hessian without the change of activations": (
        "src_cython/gradients.pxi",
        [("for l in range(2, layers.shape[0]):", "for l in range(3, layers.shape[0]):")],
    ),
    "the Hessian without the direction's way back": (
        "src_cython/gradients.pxi",
        [
            (
                "                ddelta[s, k] += work[s, k]\n                work",
                "                work",
            )
        ],
    ),
    # -- inputs most of which are 0
    "sparse: the second of a pair is left out": (
        "src_cython/packed_inputs.pxi",
        [
            (
                "sum_lists(layers, params, a, lists, s, now)",
                "sum_lists(layers, params, a, lists, s, 1)",
            )
        ],
    ),
    "sparse: what the second of a pair has alone is not listed": (
        "src_cython/simd.h",
        [("fastbp_list_word(a[i / 32] | b[i / 32], i", "fastbp_list_word(a[i / 32], i")],
    ),
    "sparse: the second of a pair has the values of the first": (
        "src_cython/simd_vector.h",
        [("acc[s][v] += x * y[v]", "acc[s][v] += x_0[which[p]] * y[v]")],
    ),
    "sparse: the second of a pair steps by the values of the first": (
        "src_cython/simd_vector.h",
        [("acc[v] += x * step[s][v]", "acc[v] += x_0[which[p]] * step[s][v]")],
    ),
    "sparse: no bias": (
        "src_cython/simd_vector.h",
        [("acc[s][v] = ((const VEC *)row)[v];", "acc[s][v] = (VEC){0};")],
    ),
    "sparse: what is left of whole words has no place": (
        "src_cython/simd_lists.h",
        [
            (
                "k < n && k < i + 32; k++) mask |= (uint32_t)(row",
                "k < n / 32 * 32 && k < i + 32; k++) mask |= (uint32_t)(row",
            )
        ],
    ),
    "sparse: a list has no end": (
        "src_cython/simd.h",
        [("    which[found] = UINT16_MAX;\n", "")],
    ),
    "sparse: no decay": (
        "src_cython/packed_inputs.pxi",
        [
            (
                "for i in range(low * width, high * width):\n            G[i] *= scale",
                "for i in range(low * width, high * width):\n            G[i] *= 1",
            )
        ],
    ),
    "sparse: gradients are added to what was there": (
        "src_cython/packed_inputs.pxi",
        [("clear((high - low) * width, G", "clear(0, G")],
    ),
    "sparse: the last row of a strip is skipped": (
        "src_cython/simd_vector.h",
        [("which[p] < stop; p++", "which[p] < stop - 1; p++")],
    ),
    "sparse: each thread begins at the first input": (
        "src_cython/packed_inputs.pxi",
        [("while found[1 + at[s]] < low", "while at[s] < 0")],
    ),
    "sums of listed inputs are added to weights without decay": (
        "src_cython/packed_inputs.pxi",
        [("G[i] = scale * G[i] + sums[i]", "G[i] = G[i] + sums[i]")],
    ),
    "sparse: tiny steps of many samples are rounded one by one": (
        "src_cython/packed_inputs.pxi",
        [("cdef bint apart = start == FROM_C and n > 1", "cdef bint apart = False")],
    ),
    "sparse: sums apart begin with what was there": (
        "src_cython/packed_inputs.pxi",
        [("            clear((stop - low) * width, work)\n", "")],
    ),
    "sparse: rows before a thread's own are its own too": (
        "src_cython/packed_inputs.pxi",
        [("    some[0] &= <uint32_t> 0xffffffff << (low % 32)\n", "")],
    ),
    "sparse: rows behind a thread's own are its own too": (
        "src_cython/packed_inputs.pxi",
        [("    if high % 32:\n", "    if False:\n")],
    ),
    "sparse: each thread's rows take the first inputs": (
        "src_cython/packed_inputs.pxi",
        [("(place_of(lists, s)[0] + 32 * first)", "place_of(lists, s)[0]")],
    ),
    "sparse: rows that no sample has do not decay": (
        "src_cython/packed_inputs.pxi",
        [("            if not some[k // 32] >> (k % 32) & 1:\n", "            if False:\n")],
    ),
    "sparse: rows of the last sample alone": (
        "src_cython/packed_inputs.pxi",
        [("some[k] |= mask[k]", "some[k] = mask[k]")],
    ),
    "sparse: narrow rows leave out the last sample": (
        "src_cython/packed_inputs.pxi",
        [
            (
                f"add_rows_{kind}(\n            n_words, some, n, width",
                f"add_rows_{kind}(\n            n_words, some, n - 1, width",
            )
            for kind in ("float", "double")
        ],
    ),
    "sparse: wide rows leave out the last sample": (
        "src_cython/packed_inputs.pxi",
        [("[first + k] if s < n else 0", "[first + k] if s < n - 1 else 0")],
    ),
    "sparse: wide rows are narrow ones": (
        "src_cython/packed_inputs.pxi",
        [
            (
                "    if width * <Py_ssize_t> sizeof(real) > NARROW * VECTOR_BYTES:\n",
                "    if False:\n",
            )
        ],
    ),
    "sparse: narrow rows do not decay": (
        "src_cython/simd_vector.h",
        [("*c = scale * *c + acc[i][v];", "*c = *c + acc[i][v];")],
    ),
    "sparse: wide rows do not decay": (
        "src_cython/simd_vector.h",
        [("c[v] = scale * c[v] + acc[v];", "c[v] = c[v] + acc[v];")],
    ),
    "sparse: wide rows have the inputs of the first word": (
        "src_cython/simd_vector.h",
        [("X[s][32 * w + bit]", "X[s][bit]")],
    ),
    "sparse: all parts of wide rows take the first errors": (
        "src_cython/simd_vector.h",
        [
            (
                "        D += columns * SIZE;\n        C += columns * SIZE;\n    }\n}\n",
                "        C += columns * SIZE;\n    }\n}\n",
            )
        ],
    ),
    "sparse: wide rows have no sample": (
        "src_cython/simd.h",
        [("samples |= (masks[s] >> bit & 1) << s;", "samples |= (masks[s] >> bit & 0) << s;")],
    ),
    "sparse: what is not listed has a norm too": (
        "src_cython/gradients.pxi",
        [
            (
                "    if packed and l == 1:\n        return place",
                "    if packed and l == 0:\n        return place",
            )
        ],
    ),
    "sparse: moments square the lists": (
        "src_cython/gradients.pxi",
        [("for j in range(first, delta.shape[1]):", "for j in range(0, delta.shape[1]):")],
    ),
    "sparse: moments of inputs where they are": (
        "src_cython/gradients.pxi",
        [("cost, cost_weight, packed, not squared,", "cost, cost_weight, packed, True,")],
    ),
    "sparse: inputs that stayed where they were are no activations": (
        "src_cython/gradients.pxi",
        [("0, n, packed, False, NULL,", "0, n, packed, True, NULL,")],
    ),
    "sparse: moments without the squares of errors": (
        "src_cython/gradients.pxi",
        [(" delta[s, j] *= delta[s, j]", " delta[s, j] *= 1")],
    ),
    "sparse: the Hessian's sum goes by no lists": (
        "src_cython/gradients.pxi",
        [("table, a, ddelta, delta, n,", "table, a, ddelta, ddelta, n,")],
    ),
    "sparse: the Hessian goes along the parameters": (
        "src_cython/gradients.pxi",
        [("sum_lists(layers, v, dz,", "sum_lists(layers, params, dz,")],
    ),
    "sparse: threads cut pairs": (
        "src_cython/train.pxi",
        [
            (
                "own = min(count, 2 * share((count + 1) // 2, thread_id, n_threads))",
                "own = share(count, thread_id, n_threads)",
            )
        ],
    ),
    "records: floats are not widened": (
        "src_cython/packed_inputs.pxi",
        [
            (
                "            elif samples.floats is not None:\n                unpack_row",
                "            elif False:\n                unpack_row",
            )
        ],
    ),
    "records: what is 0 takes a value": (
        "src_cython/simd_lists.h",
        [("        values += some;", "        values += 1;")],
    ),
    "records: every other place has no bit of its own": (
        "src_cython/simd_lists.h",
        [("(uint32_t)some << (k - i)", "(uint32_t)some << ((k - i) & 30)")],
    ),
    "records: what is 0 is kept": (
        "src_cython/simd_lists.h",
        [("values[found] = a[k];\n            found += some;", "values[found++] = a[k];")],
    ),
    "records: room is not looked at": (
        "src_cython/packed_inputs.pxi",
        [(" and starts[s] + most <= packed.shape[0]:", ":")],
    ),
    "records: subnormal inputs are kept": (
        "src_cython/packed_inputs.pxi",
        [("  # as where the inputs are read without these\n", "\n        restore(mode)\n")],
    ),
    "records: they begin anywhere": (
        "src_cython/packed_inputs.pxi",
        [("(bytes + 7) // 8 * 8", "bytes + 4")],
    ),
    # -- steps of one sample each through layers of one line each
    "tiny steps: a cost has no penalty": (
        "src_cython/one_line_layers.pxi",
        [
            (
                "        and (options.costs is None or options.rule.l2 == 0 and options.rule.alpha == 0)\n",
                "",
            )
        ],
    ),
    "one sample a step: the last updates are not made": (
        "src_cython/one_line_layers.pxi",
        [("for s in range(position, end + 1):", "for s in range(position, end):")],
    ),
    "one sample a step: the way back keeps the first weights": (
        "src_cython/one_line_layers.pxi",
        [
            (
                "<const real*> a_last + i - line, <const real*> delta + i,",
                "<const real*> slope, <const real*> delta + i,",
            )
        ],
    ),
    "one sample a step: no slope": (
        "src_cython/one_line_layers.pxi",
        [("            multiply_line(<const real*> slope + i, delta + i)\n", "            pass\n")],
    ),
    "one sample a step: what overflowed is not left out": (
        "src_cython/simd_vector.h",
        [
            (
                "NAME(choose)(f != 0, ((VEC *)delta)[u] * f, (VEC){0})",
                "((VEC *)delta)[u] * f",
            )
        ],
    ),
    "one sample a step: the sign of a zero is lost": (
        "src_cython/one_line_layers.pxi",
        [("<real> -0.0  #", "<real> 0.0  #")],
    ),
    "one sample a step: decay before the first update": (
        "src_cython/one_line_layers.pxi",
        [("cdef real decay = 1 ", "cdef real decay = <real> weight_factor ")],
    ),
    "one sample a step: each penalty is left out": (
        "src_cython/one_line_layers.pxi",
        [(" - learning_rate * options.rule.alpha)", ")")],
    ),
    "one sample a step: rules are left out": (
        "src_cython/one_line_layers.pxi",
        [("options.rule.optimizer == PLAIN", "True")],
    ),
    "one sample a step: weights of samples are left out": (
        "src_cython/one_line_layers.pxi",
        [("and weights is None and", "and")],
    ),
    "one sample a step: dropout is left out": (
        "src_cython/one_line_layers.pxi",
        [(" and options.dropout is None\n", "\n")],
    ),
    "one sample a step: clipping is left out": (
        "src_cython/one_line_layers.pxi",
        [("options.max_norm == INFINITY and", "True and")],
    ),
    "one sample a step: a layer too many": (
        "src_cython/one_line_layers.pxi",
        [("layers.shape[0] <= MOST_LAYERS", "layers.shape[0] <= MOST_LAYERS + 1")],
    ),
    "one sample a step: doubles beyond float32 are not cut": (
        "src_cython/one_line_layers.pxi",
        [("<real> max(min(samples.doubles[i, k], BOUND), -BOUND)", "<real> samples.doubles[i, k]")],
    ),
    "one sample a step: the permutation is ignored": (
        "src_cython/one_line_layers.pxi",
        [("            i = order[s]\n", "            i = s\n")],
    ),
    "one sample a step: the bias stays": (
        "src_cython/simd_vector.h",
        [
            (
                "if (bias) sum[u] = ((VEC *)bias)[u] += step[u];",
                "if (bias) sum[u] = ((VEC *)bias)[u];",
            )
        ],
    ),
    "one sample a step: the quadratic cost without the slope": (
        "src_cython/one_line_layers.pxi",
        [("            multiply_line(slope, delta)\n", "            pass\n")],
    ),
    # -- what an entry point looks at
    "entry: a block of any length": (
        "src_cython/parameters.pxi",
        [
            (
                "    if block.shape[0] != layers.n_params:\n"
                "        wrong_length(where, layers.n_params, block.shape[0])\n",
                "",
            )
        ],
    ),
    "entry: a table of one layer": (
        "src_cython/parameters.pxi",
        [("        if last < 1:\n", "        if False:\n")],
    ),
    "entry: a workspace of any width": (
        "src_cython/parameters.pxi",
        [("    if workspace.shape[2] != layers.row_width:\n", "    if False:\n")],
    ),
    "entry: a workspace of fewer buffers": (
        "src_cython/parameters.pxi",
        [('    check_length("workspace: buffers", n_buffers, workspace.shape[0])\n', "")],
    ),
    "entry: room for fewer threads": (
        "src_cython/parameters.pxi",
        [('    check_length("transposed: threads", n_threads, transposed.shape[0])\n', "")],
    ),
    "entry: a thread's room of any length": (
        "src_cython/parameters.pxi",
        [
            (
                '    check_length("transposed", layers.n_transposed(rows, sizeof(real)), transposed.shape[1])\n',
                "",
            )
        ],
    ),
    "entry: more rows than a block": (
        "src_cython/parameters.pxi",
        [("    if not 1 <= rows <= BLOCK:\n", "    if False:\n")],
    ),
    "entry: an address at which no line begins": (
        "src_cython/parameters.pxi",
        [("    if <uintptr_t> start % LINE:\n", "    if False:\n")],
    ),
    "entry: a thread's room at which no line begins": (
        "src_cython/parameters.pxi",
        [
            (
                '        check_aligned("transposed", <const void*> &transposed[1, 0])\n',
                "        pass\n",
            )
        ],
    ),
    "entry: a network of halves": (
        "src_cython/parameters.pxi",
        [("    if itemsize != sizeof(float) and itemsize != sizeof(double):\n", "    if False:\n")],
    ),
    "entry: any order": (
        "src_cython/samples.pxi",
        [
            (
                '    if not good:\n        raise ValueError(error_message("order"',
                '    if False:\n        raise ValueError(error_message("order"',
            )
        ],
    ),
    "entry: any order to train in": (
        "src_cython/_core.pyx",
        [("    check_order(order, samples)\n    cdef const Layer", "    cdef const Layer")],
    ),
    "entry: inputs of another width": (
        "src_cython/samples.pxi",
        [("    if samples.n_0 != layers[0].fan_out:\n", "    if False:\n")],
    ),
    "entry: targets of another shape": (
        "src_cython/samples.pxi",
        [("    if Y.shape[0] != samples.n or Y.shape[1] != n_L:\n", "    if False:\n")],
    ),
    "entry: targets of another width": (
        "src_cython/samples.pxi",
        [
            (
                "    if Y.shape[0] != samples.n or Y.shape[1] != n_L:\n",
                "    if Y.shape[0] != samples.n:\n",
            )
        ],
    ),
    "entry: targets of another type": (
        "src_cython/samples.pxi",
        [("    if Y is None:\n", "    if False:\n")],
    ),
    "entry: weights of samples of another type are none": (
        "src_cython/samples.pxi",
        [
            (
                "        if samples.float_weights is not None or samples.double_weights is not None:\n",
                "        if False:\n",
            )
        ],
    ),
    "entry: weights of other samples": (
        "src_cython/samples.pxi",
        [("    elif weights.shape[0] != samples.n:\n", "    elif False:\n")],
    ),
    "entry: records of any length": (
        "src_cython/samples.pxi",
        [
            (
                '            check_length("packed", self.starts[self.n] + LINE, self.packed.shape[0])\n',
                "",
            )
        ],
    ),
    "entry: records of fewer samples": (
        "src_cython/samples.pxi",
        [("            if self.starts.shape[0] != self.n + 1:\n", "            if False:\n")],
    ),
    "entry: inputs in memory that their owner gave back": (
        "src_cython/samples.pxi",
        [('        refuse_stale("X", X)\n', "")],
    ),
    "entry: targets in memory that their owner gave back": (
        "src_cython/samples.pxi",
        [('            refuse_stale("Y", Y)\n', "")],
    ),
    "entry: weights of samples in memory that their owner gave back": (
        "src_cython/samples.pxi",
        [('            refuse_stale("sample_weight", weights)\n', "")],
    ),
    "entry: inputs are not held": (
        "src_cython/samples.pxi",
        [
            (
                "for array in (X, Y, weights, packed, starts):",
                "for array in (Y, weights, packed, starts):",
            )
        ],
    ),
    "entry: targets are not held": (
        "src_cython/samples.pxi",
        [
            (
                "for array in (X, Y, weights, packed, starts):",
                "for array in (X, weights, packed, starts):",
            )
        ],
    ),
    "entry: weights of samples are not held": (
        "src_cython/samples.pxi",
        [("for array in (X, Y, weights, packed, starts):", "for array in (X, Y, packed, starts):")],
    ),
    "entry: packed nonzeros are not held": (
        "src_cython/samples.pxi",
        [
            (
                "for array in (X, Y, weights, packed, starts):",
                "for array in (X, Y, weights, starts):",
            )
        ],
    ),
    "entry: starts of packed nonzeros are not held": (
        "src_cython/samples.pxi",
        [
            (
                "for array in (X, Y, weights, packed, starts):",
                "for array in (X, Y, weights, packed):",
            )
        ],
    ),
    "entry: a table of layers is not held": (
        "src_cython/parameters.pxi",
        [("        hold(table, self.held)\n", "")],
    ),
    "entry: rates of dropout are not held": (
        "src_cython/options.pxi",
        [("        hold(dropout, self.held)\n", "")],
    ),
    "entry: costs are not held": (
        "src_cython/options.pxi",
        [("        hold(costs, self.held)\n", "")],
    ),
    "entry: samples are looked at once": (
        "src_cython/samples.pxi",
        [("    check_places(samples)\n    if samples.n_0", "    if samples.n_0")],
    ),
    "entry: samples that are packed are looked at once": (
        "src_cython/packed_inputs.pxi",
        [("    check_places(samples)\n    if", "    if")],
    ),
    "entry: samples in memory that is not theirs by now": (
        "src_cython/samples.pxi",
        [("good = view.buf == start and view", "good = view")],
    ),
    "entry: samples that have other rows by now": (
        "src_cython/samples.pxi",
        [(" and view.shape[0] == n\n", "\n")],
    ),
    "entry: samples whose owner gave back its memory by now": (
        "src_cython/samples.pxi",
        [("    refuse_stale(where, array)\n", "")],
    ),
    "entry: inputs that are no array": (
        "src_cython/samples.pxi",
        [("        if not is_array(X):\n", "        if False:\n")],
    ),
    "entry: packed nonzeros of no sample": (
        "src_cython/train.pxi",
        [(" and samples.n > 0:", ":")],
    ),
    "entry: no samples": (
        "src_cython/_core.pyx",
        [
            (
                "    Samples samples not None,             # IN      with targets",
                "    Samples samples,",
            )
        ],
    ),
    "entry: any range of samples": (
        "src_cython/samples.pxi",
        [("    if not 0 <= start <= stop <= samples.n:\n", "    if False:\n")],
    ),
    "entry: outputs of any shape": (
        "src_cython/_core.pyx",
        [('    check_shape("out", samples.n, output.fan_out, out)\n', "")],
    ),
    "entry: steps of any length": (
        "src_cython/_core.pyx",
        [('    check_block("grads", layers, grads)\n', "")],
    ),
    "entry: mini-batches of no sample": (
        "src_cython/_core.pyx",
        [("    if batch < 1 or position < 0:\n", "    if position < 0:\n")],
    ),
    "entry: a position before the first": (
        "src_cython/_core.pyx",
        [("    if batch < 1 or position < 0:\n", "    if batch < 1:\n")],
    ),
    "entry: a thread that is none of the team": (
        "src_cython/_core.pyx",
        [("    if not 0 <= thread_id < n_threads:\n", "    if False:\n")],
    ),
    "entry: a team of one": (
        "src_cython/_core.pyx",
        [("not FASTBP_TEAMS or n_threads < 2", "not FASTBP_TEAMS")],
    ),
    "entry: dropout of other layers": (
        "src_cython/_core.pyx",
        [("        if options.dropout.shape[0] != table.shape[0]:\n", "        if False:\n")],
    ),
    "entry: two buffers for dropout": (
        "src_cython/_core.pyx",
        [("transposed, 4 if dropout else 2, n_threads)", "transposed, 2, n_threads)")],
    ),
    "entry: costs of other samples": (
        "src_cython/_core.pyx",
        [("        if options.costs.shape[0] != samples.n:\n", "        if False:\n")],
    ),
    "entry: costs of a longer order": (
        "src_cython/_core.pyx",
        [("        if order.shape[0] > samples.n:\n", "        if False:\n")],
    ),
    "entry: moments of any length": (
        "src_cython/_core.pyx",
        [
            (
                "        if moments.shape[0] != n_moment_blocks * params.shape[0]:\n",
                "        if False:\n",
            )
        ],
    ),
    "entry: gradients of any length": (
        "src_cython/gradients.pxi",
        [('    check_block("grads", layers, grads)\n', "")],
    ),
    "entry: results of any shape": (
        "src_cython/parameters.pxi",
        [
            (
                "    if array.shape[0] != n_rows or array.shape[1] != n_columns:\n",
                "    if False:\n",
            )
        ],
    ),
    "entry: norms of other samples": (
        "src_cython/gradients.pxi",
        [("    if norms is not None and norms.shape[0] != samples.n:\n", "    if False:\n")],
    ),
    "entry: rows of results of another width": (
        "src_cython/gradients.pxi",
        [("view.ndim == 2 and view.shape[0] == n and view.shape[1] == width", "True")],
    ),
    "entry: results that lie apart": (
        "src_cython/gradients.pxi",
        [("        and (width == 1 or view.strides[1] == itemsize)\n", "")],
    ),
    "entry: results of another type": (
        "src_cython/gradients.pxi",
        [
            (
                'and view.itemsize == itemsize and (view.format[0] == c"d" or view.format[0] == c"f")\n',
                "\n",
            )
        ],
    ),
    "entry: results at an odd address": (
        "src_cython/gradients.pxi",
        [("        and <uintptr_t> view.buf % itemsize == 0\n", "")],
    ),
    "entry: results that are to be read alone": (
        "src_cython/gradients.pxi",
        [("PyBUF_STRIDES | PyBUF_WRITABLE |", "PyBUF_STRIDES |")],
    ),
    "entry: results in memory that their owner gave back": (
        "src_cython/gradients.pxi",
        [('    refuse_stale("out", array)\n', "")],
    ),
    "entry: a workspace of two buffers for a Hessian": (
        "src_cython/gradients.pxi",
        [("workspace, transposed, 6, 1)", "workspace, transposed, 2, 1)")],
    ),
    "entry: a direction of any length": (
        "src_cython/gradients.pxi",
        [('    check_block("v", layers, v)\n', "")],
    ),
    "entry: a product of any length": (
        "src_cython/gradients.pxi",
        [('    check_block("out", layers, out)\n', "")],
    ),
    "entry: fewer results than layers": (
        "src_cython/gradients.pxi",
        [("    if len(arrays) != n_arrays:\n", "    if False:\n")],
    ),
    "entry: a list of results may change while it is written to": (
        "src_cython/gradients.pxi",
        [
            (
                'the activations of all layers, or the errors."""\n    cdef list held = []\n    out = snapshot(out)\n',
                'the activations of all layers, or the errors."""\n    cdef list held = []\n',
            ),
            (
                'each sample\'s gradient."""\n    cdef list held = []\n    out = snapshot(out)\n',
                'each sample\'s gradient."""\n    cdef list held = []\n',
            ),
        ],
    ),
    "entry: starts of other samples": (
        "src_cython/packed_inputs.pxi",
        [("    if starts.shape[0] != samples.n + 1:\n", "    if False:\n")],
    ),
    "entry: any range of samples to pack": (
        "src_cython/packed_inputs.pxi",
        [("0 <= start <= stop <= samples.n and", "")],
    ),
    "entry: packed nonzeros that begin anywhere": (
        "src_cython/packed_inputs.pxi",
        [(" and 0 <= starts[start] <= packed.shape[0]):", "):")],
    ),
    "entry: an output of any shape": (
        "src_cython/public_arrays.pxi",
        [
            (
                " or out.shape[0] != table[table.shape[0] - 1].fan_out or out.shape[1] != 1:",
                ":",
            )
        ],
    ),
    "entry: a workspace of fewer pairs": (
        "src_cython/public_arrays.pxi",
        [("    if workspace.shape[0] != 2 or workspace.shape[1] != n:\n", "    if False:\n")],
    ),
    "entry: a workspace of any width for few samples": (
        "src_cython/public_arrays.pxi",
        [('    check_length("workspace", layers.row_width, workspace.shape[2])\n    if', "    if")],
    ),
    "entry: a workspace of any width for one sample": (
        "src_cython/public_arrays.pxi",
        [
            (
                '    check_length("workspace", layers.row_width, workspace.shape[2])\n    a =',
                "    a =",
            )
        ],
    ),
    "entry: a workspace of no row for one sample": (
        "src_cython/public_arrays.pxi",
        [('    check_length("workspace: buffers", 1, workspace.shape[0])\n', "")],
    ),
    "entry: a block of any length to pack": (
        "src_cython/public_arrays.pxi",
        [
            (
                '    if block.shape[0] != layers.n_params:\n        wrong_length("block", layers.n_params, block.shape[0])\n    if not short',
                "    if not short",
            )
        ],
    ),
    "entry: a block of any length to unpack": (
        "src_cython/public_arrays.pxi",
        [
            (
                '    if block.shape[0] != layers.n_params:\n        wrong_length("block", layers.n_params, block.shape[0])\n    hold_all',
                "    hold_all",
            )
        ],
    ),
    "entry: what a kernel reads is not held": (
        "src_cython/holding.pxi",
        [("            held.append(PyWeakref_NewRef(array, None))\n", "            pass\n")],
    ),
    "entry: the owner of a user's buffer is not held": (
        "src_cython/holding.pxi",
        [
            (
                "                held.append(PyMemoryView_FromObject(array))\n",
                "                pass\n",
            )
        ],
    ),
    "entry: memory that its owner gave back": (
        "src_cython/holding.pxi",
        [("            if low < first or high > last:\n", "            if False:\n")],
    ),
    "entry: a user's class says whose its values are": (
        "src_cython/holding.pxi",
        [("        return base(array)\n", "        return array.base\n")],
    ),
    "entry: only arrays give back what they had": (
        "src_cython/holding.pxi",
        [("is_array(owner) or type(owner) in EXPORTERS:", "is_array(owner):")],
    ),
    "columns: beyond the tuple": (
        "src_cython/public_arrays.pxi",
        [("    if not 0 <= start <= len(values) - n:\n", "    if False:\n")],
    ),
    "columns: rows of another width": (
        "src_cython/public_arrays.pxi",
        [
            (
                "        if copies.shape[0] != n or copies.shape[1] != size * itemsize:\n",
                "        if False:\n",
            )
        ],
    ),
    "columns: parts of memory that was given back": (
        "src_cython/public_arrays.pxi",
        [
            (
                '        refuse_stale("array", array)\n        last.owner = NULL',
                "        last.owner = NULL",
            )
        ],
    ),
    "columns: one part of an array speaks for all": (
        "src_cython/public_arrays.pxi",
        [
            (
                "        or <uintptr_t> view.buf < last.low\n        or <uintptr_t> view.buf + <uintptr_t> view.len > last.high\n",
                "",
            )
        ],
    ),
    "columns: rows of no bytes": (
        "src_cython/public_arrays.pxi",
        [("// max(itemsize, 1))", "// itemsize)")],
    ),
    # -- shuffles
    "the shuffle leaves the first card where it is": (
        "src_cython/shuffling.pxi",
        [
            (
                "    for i in range(order.shape[0] - 1, 0, -1):",
                "    for i in range(order.shape[0] - 1, 1, -1):",
            )
        ],
    ),
    "a list that was edited counts as untouched": (
        "src_cython/shuffling.pxi",
        [
            (
                "        if item(items, k) != item(samples, which[k]):\n            return False\n",
                "        pass\n",
            )
        ],
    ),
    "places beyond the items": (
        "src_cython/shuffling.pxi",
        [
            (
                '        raise ValueError(error_message("order", f"indices',
                '        good or ValueError(error_message("order", f"indices',
            )
        ],
    ),
    "fewer places than items": (
        "src_cython/shuffling.pxi",
        [("    if which.shape[0] != n:\n", "    if False:\n")],
    ),
}
