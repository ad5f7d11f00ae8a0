"""Bugs of the compiled core."""

BUGS = {
    "kernels that do nothing": (
        "src_cython/layers.pxi",
        [
            (f'    """{first_words}', f'    return\n    """{first_words}')
            for first_words in (
                "Compute z = a W + bias",
                "Compute delta_prev = W delta",
                "Compute a^T delta",
                "Add the summed steps",
            )
        ],
    ),
    "no bias in the forward pass of a block": (
        "src_cython/layers.pxi",
        [("        start, n, width, fan_in", "        FROM_ZERO, n, width, fan_in")],
    ),
    "no gradient of the bias": (
        "src_cython/layers.pxi",
        [("cdef real one = 1\n    multiply(", "cdef real one = 0\n    multiply(")],
    ),
    "the last row of a block is skipped": (
        "src_cython/layers.pxi",
        [("start, own, width, n, a", "start, own, width, n - (n > 1), a")],
    ),
    "the last input is skipped": (
        "src_cython/layers.pxi",
        [("start, n, width, fan_in, a", "start, n, width, fan_in - 1, a")],
    ),
    "the last output is skipped on the way back": (
        "src_cython/layers.pxi",
        [("FROM_ZERO, fan_in, columns, fan_out, W", "FROM_ZERO, fan_in, columns, fan_out - 1, W")],
    ),
    "no slope in the hidden layers": (
        "src_cython/layers.pxi",
        [("<int> layers[l - 1].activation, n, layers", "LINEAR, n, layers")],
    ),
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
    "few samples: no slope": (
        "src_cython/few.pxi",
        [("<int> below.activation, 1, fan_in", "LINEAR, 1, fan_in")],
    ),
    "few samples: the last errors are left out of the bias": (
        "src_cython/few.pxi",
        [
            (
                "        for s in range(n):\n            for j in range(fan_out):",
                "        for s in range(n - (n > 1)):\n            for j in range(fan_out):",
            )
        ],
    ),
    "few samples: no decay": (
        "src_cython/few.pxi",
        [("w if few.add else NULL, decay,", "w if few.add else NULL, 1,")],
    ),
    "a step divided by the full batch": (
        "src_cython/passes.pxi",
        [("total = <double> (end - first)", "total = <double> batch")],
    ),
    "the permutation is ignored": (
        "src_cython/passes.pxi",
        [("i = run.order[position + s]", "i = position + s")],
    ),
    "each thread adds to the biases": (
        "src_cython/layers.pxi",
        [("        if high > fan_in:\n", "        if high >= 0:\n")],
    ),
    "threads do not wait for each other": (
        "src_cython/threads.h",
        [("[ARRIVALS]) < all", "[ARRIVALS]) < 0")],
    ),
    "a single row is skipped": (
        "src_cython/simd_vector.h",
        [("while (n_rows > 0)", "while (n_rows > 1)")],
    ),
    "long sums start anew": (
        "src_cython/simd_vector.h",
        [("done && from != TO_C ? FROM_C : from", "from")],
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
    "transposed activations without the last square": (
        "src_cython/layers.pxi",
        [
            (
                "transpose(n, own, a, width_in, turned, x_row)",
                "transpose(n, own - own % 16, a, width_in, turned, x_row)",
            )
        ],
    ),
    "subnormal numbers stay flushed": (
        "src_cython/passes.pxi",
        [("restore(mode)\n    return position", "return position")],
    ),
    "gradients: sample weights are ignored": (
        "src_cython/gradients.pxi",
        [
            (
                "    if weights != NULL:\n        for s in range(n):",
                "    if weights != NULL:\n        for s in range(0):",
            )
        ],
    ),
    "norms without the biases": (
        "src_cython/gradients.pxi",
        [("        1 + squares(", "        squares(")],
    ),
    "norms of the first layer alone": (
        "src_cython/gradients.pxi",
        [
            (
                "    for l in range(1, run.last + 1):\n        total += layer_squares",
                "    for l in range(1, 2):\n        total += layer_squares",
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
    "clipping leaves the output layer": (
        "src_cython/gradients.pxi",
        [
            (
                "    for l in range(1, last + 1):\n        delta = deltas",
                "    for l in range(1, max(last, 2)):\n        delta = deltas",
            )
        ],
    ),
    "clipped gradients keep their length": (
        "src_cython/gradients.pxi",
        [("<real> (most / size))", "<real> 1)")],
    ),
    "moments are not squared": (
        "src_cython/gradients.pxi",
        [("values[i] *= values[i]", "values[i] *= 1")],
    ),
    "sums of later blocks start anew": (
        "src_cython/gradients.pxi",
        [
            (
                "FROM_C if total.add or position else FROM_ZERO",
                "FROM_ZERO",
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
    "the Jacobian without the slope of the outputs": (
        "src_cython/gradients.pxi",
        [("<int> top.activation, n, top.fan_out", "LINEAR, n, top.fan_out")],
    ),
    "the Hessian without the direction's bias": (
        "src_cython/gradients.pxi",
        [("FROM_ROW, n, layer.fan_in", "FROM_ZERO, n, layer.fan_in")],
    ),
    "the Hessian without the change of activations": (
        "src_cython/gradients.pxi",
        [
            (
                "for l in range(2, last + 1):\n            layer = layers + l",
                "for l in range(3, last + 1):\n            layer = layers + l",
            )
        ],
    ),
    "softmax of what is not below the largest": (
        "src_cython/functions.pxi",
        [("        z[j] -= largest", "        z[j] -= 0")],
    ),
    "softmax: the last sample is left out": (
        "src_cython/functions.pxi",
        [("exponential(n * width, z)", "exponential(n * width - width, z)")],
    ),
    "no curvature": (
        "src_cython/functions.pxi",
        [("factor[j] *= one - two * a[j]", "factor[j] *= one")],
    ),
    "the change of the quadratic cost's error has no slope": (
        "src_cython/functions.pxi",
        [("        times_slope(activation, 1, n, n, a, change)\n", "")],
    ),
    "tanh has no slope": ("src_cython/functions.pxi", [("(one - a[j]) * (one + a[j])", "one")]),
    "leaky neurons leak nothing on the way back": (
        "src_cython/functions.pxi",
        [("<real> 1 if a[j] > 0 else <real> LEAK", "<real> 1 if a[j] > 0 else <real> 0")],
    ),
    "softmax is not normalised": ("src_cython/functions.pxi", [("z[j] /= total", "z[j] /= 1")]),
    "the log-likelihood takes its targets for one-hot": (
        "src_cython/functions.pxi",
        [("            total += delta[j]", "            total += delta[j] * 0 + <real> 1 / n")],
    ),
    "softplus loses its tail": ("src_cython/simd_vector.h", [("2 * (s + s * s2 * sum)", "2 * s")]),
    "the second moment is forgotten": (
        "src_cython/layers.pxi",
        [("v[i] = nu * v[i] + left * g * g", "v[i] = left * g * g")],
    ),
    "moments are not corrected": (
        "src_cython/layers.pxi",
        [("(1 - pow(rule.second, <double> t))", "(1 - 0 * pow(rule.second, <double> t))")],
    ),
    "Nesterov's steps are plain momentum": (
        "src_cython/layers.pxi",
        [("w[i] += mu * u[i] - g", "w[i] += u[i]")],
    ),
    "biases are penalised": (
        "src_cython/layers.pxi",
        [("high - bias, False", "high - bias, True")],
    ),
    "no penalty of sizes": (
        "src_cython/layers.pxi",
        [("return l1 if w > 0 else", "return 0 if w > 0 else")],
    ),
    "mini-batches are divided by their samples, not their weights": (
        "src_cython/passes.pxi",
        [("total += weights[run.order[s]]", "total += 1")],
    ),
    "no lower end of the sigmoid": (
        "src_cython/simd_vector.h",
        [("return NAME(choose)(z < -LARGEST, (VEC){0}, a);", "return a;")],
    ),
    "no upper end of the sigmoid": (
        "src_cython/simd_vector.h",
        [("z > LARGEST, (VEC){0} + 1, 1 /", "z != z, (VEC){0} + 1, 1 /")],
    ),
    "the sigmoid leaves out the remainder": (
        "src_cython/simd_vector.h",
        [("for (; n > 0; n -= SIZE, z", "for (; n >= SIZE; n -= SIZE, z")],
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
        [("factor = from == FROM_C ? scale : 1", "factor = 1")],
    ),
    "all tiles start from the first rows": (
        "src_cython/simd_vector.h",
        [("        start += rows * start_row;\n", "")],
    ),
    "sums apart are those of the first tile": (
        "src_cython/simd_vector.h",
        [("apart[i * columns + v]", "apart[v]")],
    ),
    "a sum that is added last is added to weights without decay": (
        "src_cython/simd_vector.h",
        [("scale * ((const VEC *)(C + i * c_row))[v] +", "((const VEC *)(C + i * c_row))[v] +")],
    ),
    "tiny steps of many samples are rounded one by one": (
        "src_cython/passes.pxi",
        [("TO_C if count >= MANY else FROM_C", "FROM_C")],
    ),
    "sums of listed inputs are added to weights without decay": (
        "src_cython/sparse.pxi",
        [("G[i] = scale * G[i] + sums[i]", "G[i] = G[i] + sums[i]")],
    ),
    "biases do not take the sums of many samples": (
        "src_cython/layers.pxi",
        [
            (
                "delta, width, bias, width, NULL, one, NULL)",
                "delta, width, bias, width, NULL, 0, NULL)",
            )
        ],
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
        [("REAL total = B ? scale * B[i * c_row + j] : 0;", "REAL total = 0;")],
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
    "the last neuron's padding learns": (
        "src_cython/layers.pxi",
        [("        clear(width - fan_out, delta + s * width + fan_out)\n", "        pass\n")],
    ),
    "errors of the inputs' padding are not cleared": (
        "src_cython/layers.pxi",
        [
            (
                "        clear(width_in - fan_in, delta_prev + s * width_in + fan_in)\n",
                "        pass\n",
            )
        ],
    ),
    "decay on biases": (
        "src_cython/layers.pxi",
        [("        W[i] += G[i]\n", "        W[i] = decay * W[i] + G[i]\n")],
    ),
    "no decay": (
        "src_cython/layers.pxi",
        [("        W[i] = decay * W[i] + G[i]\n", "        W[i] = W[i] + G[i]\n")],
    ),
    "doubles beyond float32 are not cut": (
        "src_cython/layers.pxi",
        [("<real> max(min(doubles[i], BOUND), -BOUND)", "<real> doubles[i]")],
    ),
    "dropped neurons hand back errors": (
        "src_cython/layers.pxi",
        [("                delta[i] *= a[kind + i]\n", "                delta[i] *= 1\n")],
    ),
    "kept neurons are not scaled up": (
        "src_cython/layers.pxi",
        [("(1 / (1 - dropout.rates[l]))", "1")],
    ),
    "every sample drops the same neurons": (
        "src_cython/layers.pxi",
        [("(drawn + <uint64_t> s)", "drawn")],
    ),
    "momentum is forgotten": (
        "src_cython/layers.pxi",
        [("u[i] = mu * u[i] - eta * (G[i]", "u[i] = -eta * (G[i]")],
    ),
    "AdamW's decay is a penalty too": (
        "src_cython/layers.pxi",
        [("kept, l2 = 1 - eta * l2, 0", "kept = 1 - eta * l2")],
    ),
    "the last share of the rows is too small": (
        "src_cython/layers.pxi",
        [("else n * part // parts", "else n // parts * part")],
    ),
    "the first sample of each mini-batch is skipped": (
        "src_cython/passes.pxi",
        [
            (
                "        own = min(count, 2 * share((count + 1) // 2, part, parts))\n",
                "        own = min(count, 2 * share((count + 1) // 2, part, parts))\n"
                "        own += (own == 0 and count > 1)\n",
            )
        ],
    ),
    "the last mini-batch is skipped if it is short": (
        "src_cython/passes.pxi",
        [
            (
                "    while position < n and not leave:",
                "    while position + batch <= n and not leave:",
            )
        ],
    ),
    "a pause within a mini-batch forgets its first part": (
        "src_cython/passes.pxi",
        [("start = FROM_ZERO if position == first else FROM_C", "start = FROM_ZERO")],
    ),
    "every update is the optimizer's first": (
        "src_cython/passes.pxi",
        [("rule.updates + first // batch + 1", "1")],
    ),
    "dropout draws the same in every mini-batch": (
        "src_cython/layers.pxi",
        [("dropout.drawn + <uint64_t> (position + first)", "dropout.drawn + <uint64_t> first")],
    ),
    "the clock is never looked at": (
        "src_cython/passes.pxi",
        [("if work > CLOCK_WORK:", "if False:")],
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
        [("    if type(array) is not NDARRAY:\n        return False\n", "")],
    ),
    "the core does not look whether a layer is missing": (
        "src_cython/public_arrays.pxi",
        [
            (
                "type(arrays) is not list or len(<list> arrays) != few.last",
                "type(arrays) is not list",
            )
        ],
    ),
    "the core finds NaN in no parameter": (
        "src_cython/public_arrays.pxi",
        [("    if search:\n", "    if False:\n")],
    ),
    "few samples: NaN in inputs is not seen": (
        "src_cython/few.pxi",
        [("        good = finite(n, column.doubles)", "        good = True")],
    ),
    "few samples: a step that is not finite is taken": (
        "src_cython/few.pxi",
        [("    return bad == 0", "    return True")],
    ),
    "padding of a block is not cleared": (
        "src_cython/few.pxi",
        [
            (
                "            for k in range(layer.fan_in + 1):\n"
                "                clear(layer.width - layer.fan_out, W + k * layer.width + layer.fan_out)",
                "            pass",
            )
        ],
    ),
    "a block keeps the biases for itself": (
        "src_cython/few.pxi",
        [
            (
                "            copy(layer.fan_out, W + layer.fan_in * layer.width, b)\n",
                "            pass\n",
            )
        ],
    ),
    "the shuffle leaves the first card where it is": (
        "src_cython/shuffling.pxi",
        [("    for i in range(n - 1, 0, -1):", "    for i in range(n - 1, 1, -1):")],
    ),
    "a list that was edited counts as untouched": (
        "src_cython/shuffling.pxi",
        [("        if card[k] != first[which[k]]:\n            return False\n", "        pass\n")],
    ),
    "a thread that never comes is waited for": (
        "src_cython/threads.h",
        [("        if (LOAD(&team[ABORTED])) return 0;\n", "")],
    ),
    "alpha counts for each sample": (
        "src_cython/passes.pxi",
        [("steps.rule.l2 + alpha / total", "steps.rule.l2 + alpha")],
    ),
    "plain steps know no alpha": (
        "src_cython/passes.pxi",
        [("(steps.decay - steps.rate * alpha / total)", "steps.decay")],
    ),
    "a mini-batch that weighs nothing has a share of alpha": (
        "src_cython/passes.pxi",
        [("alpha = steps.rule.alpha if total > 0 else 0", "alpha = steps.rule.alpha")],
    ),
    "the cost of a mini-batch has no penalty": (
        "src_cython/passes.pxi",
        [("steps.costs[s] += added", "steps.costs[s] += 0")],
    ),
    "the cost of a mini-batch has no penalty after a pause within it": (
        "src_cython/passes.pxi",
        [("if position == first or position == steps.position:", "if position == first:")],
    ),
    "the penalty of a mini-batch is that of the first weights": (
        "src_cython/passes.pxi",
        [("if position == first or position == steps.position:", "if position == steps.position:")],
    ),
    "the decay of AdamW counts as a cost": (
        "src_cython/passes.pxi",
        [("0 if rule.optimizer == ADAMW else rule.l2", "rule.l2")],
    ),
    "costs of a mini-batch are not weighted": (
        "src_cython/passes.pxi",
        [("*= weights[run.order[s]] * <double>", "*= <double>")],
    ),
    "costs are weighted by their place in the order": (
        "src_cython/passes.pxi",
        [("*= weights[run.order[s]] * <double>", "*= weights[s] * <double>")],
    ),
    "tiny steps: a cost has no penalty": (
        "src_cython/tiny.pxi",
        [
            (
                "        and (steps.costs == NULL or steps.rule.l2 == 0 and steps.rule.alpha == 0)\n",
                "",
            )
        ],
    ),
    "the costs of a block overwrite the last one's": (
        "src_cython/passes.pxi",
        [("steps.costs + position + own", "steps.costs + own")],
    ),
    "a thread's costs go where the first one's do": (
        "src_cython/passes.pxi",
        [("steps.costs + position + own", "steps.costs + position")],
    ),
    "the cost of what is 0 is left out": (
        "src_cython/functions.pxi",
        [("if y[j] != 1:", "if y[j] == 0:")],
    ),
    "the quadratic cost is not halved": (
        "src_cython/functions.pxi",
        [("total += 0.5 * (<double> a[j] - y[j])", "total += (<double> a[j] - y[j])")],
    ),
    "epsilon is always that of algorithm 1": (
        "src_cython/layers.pxi",
        [("if rule.hat:", "if not rule.hat:")],
    ),
    "sparse: the second of a pair is left out": (
        "src_cython/sparse.pxi",
        [("nth(run, position + min(s + 1, first + n - 1))", "nth(run, position + s)")],
    ),
    "sparse: no decay": ("src_cython/sparse.pxi", [("G[i] *= scale", "G[i] *= 1")]),
    "sparse: gradients are added to what was there": (
        "src_cython/sparse.pxi",
        [("clear((stop - low) * width, sums", "clear(0, sums")],
    ),
    "sparse: the last row of a strip is skipped": (
        "src_cython/simd_vector.h",
        [("which[p] < stop; p++", "which[p] < stop - 1; p++")],
    ),
    "sparse: each thread begins at the first input": (
        "src_cython/sparse.pxi",
        [("while found[1 + at[s]] < low", "while at[s] < 0")],
    ),
    "sparse: no bias": (
        "src_cython/sparse.pxi",
        [("copy(width, W + layers[1].fan_in * width, z", "clear(width, z")],
    ),
    "sparse: what is left of whole vectors has no place": (
        "src_cython/simd_lists.h",
        [("some = (a[i] != 0) | (b[i] != 0)", "some = (a[i] != 0)")],
    ),
    "sparse: a list has no end": (
        "src_cython/simd_lists.h",
        [
            (
                "which[found] = UINT16_MAX;\n    return found;\n}\n\nstatic ptrdiff_t NAME(compress)",
                "return found;\n}\n\nstatic ptrdiff_t NAME(compress)",
            )
        ],
    ),
    "sparse: what is listed of the second is the first's": (
        "src_cython/simd_lists.h",
        [("B[found] = b[i]", "B[found] = a[i]")],
    ),
    "sparse: the second of a pair is not widened": (
        "src_cython/sparse.pxi",
        [("if y != x:", "if y == x:")],
    ),
    "records: the values of the second are the first's": (
        "src_cython/simd_lists.h",
        [("B[found] = in_b ? next_y : 0", "B[found] = in_b ? next_x : 0")],
    ),
    "records: what the second has alone is not listed": (
        "src_cython/simd_lists.h",
        [("some = of_a | of_b; some;", "some = of_a; some;")],
    ),
    "records: every other place has no bit of its own": (
        "src_cython/simd_lists.h",
        [("(uint32_t)some << (k - i)", "(uint32_t)some << ((k - i) & 30)")],
    ),
    "records: what is 0 is kept": (
        "src_cython/simd_lists.h",
        [("values[found] = a[k];\n            found += some;", "values[found++] = a[k];")],
    ),
    "records: lists of them have no end": (
        "src_cython/simd_lists.h",
        [
            (
                "#endif\n    which[found] = UINT16_MAX;\n    return found;\n}\n\n#ifdef",
                "#endif\n    return found;\n}\n\n#ifdef",
            )
        ],
    ),
    "records: room is not looked at": (
        "src_cython/sparse.pxi",
        [(" and starts[s] + most <= room:", ":")],
    ),
    "records: subnormal inputs are kept": (
        "src_cython/sparse.pxi",
        [("  # as where the inputs are read without these\n", "\n    restore(mode)\n")],
    ),
    "records: they begin anywhere": (
        "src_cython/sparse.pxi",
        [("(bytes + 7) // 8 * 8", "bytes + 4")],
    ),
    "sparse: what is not listed has a norm too": (
        "src_cython/gradients.pxi",
        [("if l == 1:\n        return sample", "if l == 0:\n        return sample")],
    ),
    "sparse: moments square the lists": (
        "src_cython/gradients.pxi",
        [
            (
                "square(run.rows * (units - first), deltas + run.rows * first)",
                "square(run.rows * units, deltas)",
            )
        ],
    ),
    "sparse: moments without the squares of errors": (
        "src_cython/gradients.pxi",
        [("square(run.rows * (units - first), deltas + run.rows * first)", "pass")],
    ),
    "sparse: the Hessian's sum goes by no lists": (
        "src_cython/gradients.pxi",
        [("copy(n * layers[0].width, deltas, ddelta)", "pass")],
    ),
    "sparse: the Hessian goes along the parameters": (
        "src_cython/gradients.pxi",
        [("sparse_forward(layers, 0, n, v +", "sparse_forward(layers, 0, n, params +")],
    ),
    "sparse: threads cut pairs": (
        "src_cython/passes.pxi",
        [
            (
                "own = min(count, 2 * share((count + 1) // 2, part, parts))",
                "own = share(count, part, parts)",
            )
        ],
    ),
    "one sample a step: the last updates are not made": (
        "src_cython/tiny.pxi",
        [("for s in range(position, end + 1):", "for s in range(position, end):")],
    ),
    "one sample a step: the way back keeps the first weights": (
        "src_cython/tiny.pxi",
        [("turned + i * line, NULL, delta_last + i,", "turned + i * line, NULL, a + i,")],
    ),
    "one sample a step: no slope": (
        "src_cython/tiny.pxi",
        [("            times_line(slope + i, delta + i)\n", "            pass\n")],
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
        "src_cython/tiny.pxi",
        [("<real> -0.0  #", "<real> 0.0  #")],
    ),
    "one sample a step: decay before the first update": (
        "src_cython/tiny.pxi",
        [("cdef real decay = 1 ", "cdef real decay = <real> steps.decay ")],
    ),
    "one sample a step: each penalty is left out": (
        "src_cython/tiny.pxi",
        [(" - steps.rate * steps.rule.alpha)", ")")],
    ),
    "one sample a step: rules are left out": (
        "src_cython/tiny.pxi",
        [("steps.rule.optimizer == PLAIN", "True")],
    ),
    "one sample a step: weights of samples are left out": (
        "src_cython/tiny.pxi",
        [("run.weights == NULL", "True")],
    ),
    "one sample a step: a layer too many": (
        "src_cython/tiny.pxi",
        [("run.last < MOST_LAYERS", "run.last <= MOST_LAYERS")],
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
        "src_cython/functions.pxi",
        [("            times_line(slope, delta)\n", "            pass\n")],
    ),
    "entry: a block of any length": (
        "src_cython/core.pyx",
        [
            (
                "    if view.len != n * view.itemsize:\n        refuse_length(where, n, view.len // view.itemsize)\n",
                "",
            )
        ],
    ),
    "entry: scratch of any length": (
        "src_cython/core.pyx",
        [("    if view.len < (values + parts * turned) * run.itemsize:\n", "    if False:\n")],
    ),
    "entry: any order": (
        "src_cython/core.pyx",
        [
            (
                '    if not good:\n        raise ValueError(text("order"',
                '    if False:\n        raise ValueError(text("order"',
            )
        ],
    ),
    "entry: inputs of another width": (
        "src_cython/core.pyx",
        [("good = view.ndim == 2 and view.shape[1] == n_0", "good = True")],
    ),
    "entry: an address at which no line begins": (
        "src_cython/core.pyx",
        [("    if <uintptr_t> start % LINE:\n", "    if False:\n")],
    ),
    "entry: memory that its owner gave back": (
        "src_cython/core.pyx",
        [("        if low < first or high > last:\n", "        if False:\n")],
    ),
    "entry: records of any length": (
        "src_cython/core.pyx",
        [("        if view.len < run.inputs.starts[n] + LINE:", "        if False:")],
    ),
    "entry: more rows than a block": (
        "src_cython/core.pyx",
        [("    if not (1 <= rows <= BLOCK and parts >= 1):\n", "    if False:\n")],
    ),
    "entry: any range of samples": (
        "src_cython/core.pyx",
        [("    if not 0 <= start <= stop <= n:\n", "    if False:\n")],
    ),
    "entry: rows of results of another width": (
        "src_cython/gradient_doors.pxi",
        [("view.shape[0] == run.n and view.shape[1] == width", "True")],
    ),
    "entry: scratch of two kinds for a Hessian": (
        "src_cython/gradient_doors.pxi",
        [("        if self.kinds < 6:\n", "        if False:\n")],
    ),
    "entry: fewer results than layers": (
        "src_cython/gradient_doors.pxi",
        [("    if len(arrays) != n:\n", "    if False:\n")],
    ),
    "entry: a network of halves": (
        "src_cython/core.pyx",
        [("    if itemsize != sizeof(float) and itemsize != sizeof(double):\n", "    if False:\n")],
    ),
    "entry: what a kernel reads is not held": (
        "src_cython/core.pyx",
        [("            holds.append(PyWeakref_NewRef(array, None))\n", "            pass\n")],
    ),
    "entry: a user's class says whose its values are": (
        "src_cython/core.pyx",
        [("        return base(array)\n", "        return array.base\n")],
    ),
    "entry: only arrays give back what they had": (
        "src_cython/core.pyx",
        [("is_array(owner) or type(owner) in EXPORTERS:", "is_array(owner):")],
    ),
    "columns: beyond the tuple": (
        "src_cython/public_arrays.pxi",
        [("    if not 0 <= start <= len(values) - n:\n", "    if False:\n")],
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
    "places beyond the cards": (
        "src_cython/shuffling.pxi",
        [
            (
                '        raise ValueError(text("order", f"indices',
                '        good or ValueError(text("order", f"indices',
            )
        ],
    ),
}
