# The optimizers: how the parameters are updated by the gradient of a mini-batch.

cdef enum Optimizer:
    PLAIN
    MOMENTUM
    NESTEROV
    RMSPROP
    ADAM
    ADAMW

cdef struct Rule:
    int optimizer
    double l1  # the mean cost has the penalty l1 sum |w| + l2 / 2 sum w^2
    double l2
    double alpha  # the summed cost of a mini-batch has the penalty alpha / 2 sum w^2
    double beta_1  # momentum, or decay of the first moment
    double beta_2  # decay of the second moment
    double epsilon
    bint epsilon_hat  # whether epsilon is added before Adam's root is corrected, not after
    Py_ssize_t updates  # number of updates before this epoch


cdef inline Py_ssize_t n_moments(int optimizer) noexcept nogil:
    """Return how many moments an optimizer has, each of the size of the parameters."""
    return 0 if optimizer == PLAIN else 2 if optimizer >= ADAM else 1


cdef void add_steps(
    const Layer[::1] layers,
    const real[::1] steps,  # IN      -eta times the gradient
    real weight_factor,     # IN      weight decay; biases do not decay
    Py_ssize_t thread_id,   # IN      as in add_gradient
    Py_ssize_t n_threads,
    real[::1] params,       # IN/OUT
) noexcept nogil:
    """Add the steps of plain gradient descent to the parameters of every layer."""
    cdef Py_ssize_t l, i, low, high, bias
    for l in range(1, layers.shape[0]):
        bias = layers[l].offset + layers[l].fan_in * layers[l].width
        low = row_share(&layers[l], thread_id, n_threads)
        high = row_share(&layers[l], thread_id + 1, n_threads)
        for i in range(low, min(high, bias)):
            params[i] = weight_factor * params[i] + steps[i]
        for i in range(max(low, bias), high):
            params[i] += steps[i]


cdef inline Py_ssize_t row_share(
    const Layer* layer, Py_ssize_t thread_id, Py_ssize_t n_threads
) noexcept nogil:
    """Return the offset of a thread's first row of a layer in the parameter block."""
    return layer.offset + share(layer.fan_in + 1, thread_id, n_threads) * layer.width


cdef void apply_rule(
    const Layer[::1] layers,
    const Rule* rule,        # IN      with l2 of this mini-batch
    double learning_rate,
    Py_ssize_t t,            # IN      number of this update, from 1
    const real[::1] grads,   # IN      the gradient of the mini-batch's mean cost
    Py_ssize_t thread_id,    # IN      as in add_gradient
    Py_ssize_t n_threads,
    real[::1] moments,       # IN/OUT  velocity, or first and second moment
    real[::1] params,        # IN/OUT
) noexcept nogil:
    """Update the parameters of every layer by the optimizer's rule."""
    cdef Py_ssize_t l, low, high, bias
    for l in range(1, layers.shape[0]):
        bias = layers[l].offset + layers[l].fan_in * layers[l].width
        low = row_share(&layers[l], thread_id, n_threads)
        high = row_share(&layers[l], thread_id + 1, n_threads)
        if low < min(high, bias):
            optimize(rule, low, min(high, bias), True, learning_rate, t, grads, moments, params)
        if high > bias:
            optimize(rule, bias, high, False, learning_rate, t, grads, moments, params)


cdef inline void optimize(
    const Rule* rule,
    Py_ssize_t low,
    Py_ssize_t high,
    bint penalised,      # IN      whether these are weights
    double learning_rate,
    Py_ssize_t t,
    const real[::1] g,
    real[::1] u,         # IN/OUT  velocity, or moments: the first, then the second
    real[::1] w,         # IN/OUT  parameters
) noexcept nogil:
    """Update parameters low to high - 1.

    Momentum (Polyak, 1964), Nesterov's (1983), RMSprop (Tieleman and Hinton, 2012), Adam (Kingma and
    Ba, 2015), AdamW (Loshchilov and Hutter, 2019).
    """
    cdef real l1 = <real> (rule.l1 if penalised else 0), l2 = <real> (rule.l2 if penalised else 0)
    cdef real eta = <real> learning_rate, mu = <real> rule.beta_1, nu = <real> rule.beta_2
    cdef real rest = <real> (1 - rule.beta_1), left = <real> (1 - rule.beta_2)
    cdef real epsilon = <real> rule.epsilon, gradient, step, kept, root
    cdef Py_ssize_t i, v = w.shape[0]  # where the second moment begins
    if rule.optimizer == PLAIN:
        for i in range(low, high):
            w[i] -= eta * (g[i] + l2 * w[i] + penalty(l1, w[i]))
    elif rule.optimizer == MOMENTUM:
        for i in range(low, high):
            u[i] = mu * u[i] - eta * (g[i] + l2 * w[i] + penalty(l1, w[i]))
            w[i] += u[i]
    elif rule.optimizer == NESTEROV:
        for i in range(low, high):
            gradient = eta * (g[i] + l2 * w[i] + penalty(l1, w[i]))
            u[i] = mu * u[i] - gradient
            w[i] += mu * u[i] - gradient
    elif rule.optimizer == RMSPROP:
        for i in range(low, high):
            gradient = g[i] + l2 * w[i] + penalty(l1, w[i])
            u[i] = nu * u[i] + left * gradient * gradient
            w[i] -= eta * gradient / (square_root(u[i]) + epsilon)
    else:
        kept = 1
        if rule.optimizer == ADAMW:  # decay that is not in the gradient
            kept, l2 = 1 - eta * l2, 0
        # Both moments start from 0: the correction of that bias.
        step = <real> (learning_rate / (1 - pow(rule.beta_1, <double> t)))
        root = <real> (1 / sqrt(1 - pow(rule.beta_2, <double> t)))
        if rule.epsilon_hat:
            epsilon *= root
        for i in range(low, high):
            gradient = g[i] + l2 * w[i] + penalty(l1, w[i])
            u[i] = mu * u[i] + rest * gradient
            u[v + i] = nu * u[v + i] + left * gradient * gradient
            w[i] = kept * w[i] - step * u[i] / (root * square_root(u[v + i]) + epsilon)


cdef inline real penalty(real l1, real w) noexcept nogil:
    """Return the derivative of l1 |w|."""
    return l1 if w > 0 else -l1 if w < 0 else 0


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef double penalties(
    const Layer[::1] layers,
    const real[::1] params,
    const Rule* rule,        # IN  with l2 of this mini-batch
) noexcept nogil:
    """Return the penalties of the weights in the mean cost.

    Padding is 0 and adds nothing. AdamW's decay is not part of the cost.
    """
    cdef double l2 = 0 if rule.optimizer == ADAMW else rule.l2, total = 0
    cdef Py_ssize_t l, n
    for l in range(1, layers.shape[0]):
        n = layers[l].fan_in * layers[l].width
        if l2 != 0:
            total += 0.5 * l2 * squares(n, &params[layers[l].offset])
        if rule.l1 != 0:
            total += rule.l1 * absolutes(n, &params[layers[l].offset])
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
