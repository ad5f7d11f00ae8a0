# Activations and costs: the one compiled file that knows them. A new activation needs a code in
# Activation, a branch in `activate`, `multiply_by_slope` and `multiply_by_curvature`, and its name
# in _core.pyx; a new cost, a code in Cost, a branch in each function from `output_cost` on, and its
# name. The slope is computed from the activation a, not from z. Python validates codes and pairs of
# activation and cost, so no switch has a branch for others.
#
# Values are those of a layer in n rows of a workspace, of row stride `row`: layer.fan_out neurons
# and padding to layer.width, which is computed too where that takes no more time. All activations
# but softmax work on each value by itself; softmax is for the output layer only.

cdef enum Activation:
    LINEAR
    SIGMOID
    TANH
    RELU
    LEAKY_RELU
    SOFTPLUS
    EXPONENTIAL
    SOFTMAX

cdef enum Cost:
    QUADRATIC
    CROSS_ENTROPY
    LOG_LIKELIHOOD
    POISSON


cdef void activate(
    const Layer* layer,  # IN
    Py_ssize_t n,        # IN
    real* a,             # IN/OUT  weighted inputs z, then activations
    Py_ssize_t row,      # IN
) noexcept nogil:
    """Replace the weighted inputs of a layer by its activations."""
    cdef Py_ssize_t s, j, width = layer.width
    if layer.activation == SIGMOID:  # 1 / (1 + exp(-z))
        if real is float:
            sigmoid_float(n, width, a, row)
        else:
            sigmoid_double(n, width, a, row)
    elif layer.activation == TANH:
        if real is float:
            tanh_float(n, width, a, row)
        else:
            tanh_double(n, width, a, row)
    elif layer.activation == RELU:  # max(z, 0)
        for s in range(n):
            for j in range(s * row, s * row + width):
                a[j] = 0 if a[j] <= 0 else a[j]  # NaN stays
    elif layer.activation == LEAKY_RELU:
        for s in range(n):
            for j in range(s * row, s * row + width):
                a[j] = a[j] if a[j] > 0 else <real> LEAK * a[j]
    elif layer.activation == SOFTPLUS:  # ln(1 + exp(z))
        if real is float:
            softplus_float(n, width, a, row)
        else:
            softplus_double(n, width, a, row)
    elif layer.activation == EXPONENTIAL:
        exponential(n, width, a, row)
    elif layer.activation == SOFTMAX:  # exp(z - max(z)) / sum(exp(z - max(z)))
        for s in range(n):
            subtract_largest(layer, a + s * row)
        exponential(n, width, a, row)
        for s in range(n):
            divide_by_sum(layer, a + s * row)
    # LINEAR: as it is


cdef inline void exponential(
    Py_ssize_t n, Py_ssize_t width, real* z, Py_ssize_t row
) noexcept nogil:
    if real is float:
        exponential_float(n, width, z, row)
    else:
        exponential_double(n, width, z, row)


cdef inline void subtract_largest(const Layer* layer, real* z) noexcept nogil:
    cdef Py_ssize_t j
    cdef real largest = z[0]
    for j in range(1, layer.fan_out):
        largest = max(largest, z[j])
    for j in range(layer.width):
        z[j] -= largest


cdef inline void divide_by_sum(const Layer* layer, real* z) noexcept nogil:
    cdef Py_ssize_t j
    cdef real total = 0
    for j in range(layer.fan_out):
        total += z[j]
    for j in range(layer.width):
        z[j] /= total


cdef void multiply_by_slope(
    const Layer* layer,  # IN
    Py_ssize_t n,        # IN
    const real* a,       # IN      activations
    Py_ssize_t a_row,    # IN
    real* delta,         # IN/OUT
    Py_ssize_t row,      # IN
) noexcept nogil:
    """Multiply delta by the derivative of the activation, taken from its output a."""
    cdef Py_ssize_t s, j
    cdef real one = 1, total  # a literal would be a double
    for s in range(n):
        if layer.activation == SIGMOID:
            for j in range(layer.width):
                delta[j] *= a[j] * (one - a[j])
        elif layer.activation == TANH:
            for j in range(layer.width):
                delta[j] *= (one - a[j]) * (one + a[j])
        elif layer.activation == RELU:
            for j in range(layer.width):
                delta[j] = delta[j] if a[j] > 0 else 0
        elif layer.activation == LEAKY_RELU:
            for j in range(layer.width):
                delta[j] *= one if a[j] > 0 else <real> LEAK
        elif layer.activation == SOFTPLUS:  # 1 - exp(-a)
            if real is float:
                times_decay_float(layer.width, a, delta)
            else:
                times_decay_double(layer.width, a, delta)
        elif layer.activation == EXPONENTIAL:
            for j in range(layer.width):
                delta[j] *= a[j]
        elif layer.activation == SOFTMAX:  # a symmetric matrix: diag(a) - a a^T
            total = 0
            for j in range(layer.fan_out):
                total += a[j] * delta[j]
            for j in range(layer.fan_out):
                delta[j] = a[j] * (delta[j] - total)
        a += a_row
        delta += row


cdef void multiply_by_curvature(
    const Layer* layer,  # IN
    Py_ssize_t n,        # IN
    const real* a,       # IN      activations
    Py_ssize_t a_row,    # IN
    real* factor,        # IN/OUT
    Py_ssize_t row,      # IN
) noexcept nogil:
    """Multiply by sigma''(z) / sigma'(z), taken from the activation a; not of softmax."""
    cdef Py_ssize_t s, j
    cdef real one = 1, two = 2
    for s in range(n):
        if layer.activation == SIGMOID:
            for j in range(layer.width):
                factor[j] *= one - two * a[j]
        elif layer.activation == TANH:
            for j in range(layer.width):
                factor[j] *= -two * a[j]
        elif layer.activation == SOFTPLUS:  # exp(-a)
            for j in range(layer.width):
                factor[j] *= <real> exp(-a[j])
        elif layer.activation in (LINEAR, RELU, LEAKY_RELU):  # straight lines
            clear(layer.width, factor)
        # EXPONENTIAL: by 1
        a += a_row
        factor += row


cdef double output_cost(
    int cost,       # IN
    Py_ssize_t n,   # IN
    const real* a,  # IN  output activations of a sample
    const real* y,  # IN  targets
) noexcept nogil:
    """Return the cost of a sample, to be watched in training.

    What an output of 0 or 1 to rounding has lost, only its weighted input could tell: logarithms
    are of the rounding unit at least.
    """
    cdef Py_ssize_t j
    cdef double total = 0, least = FLT_EPSILON if real is float else DBL_EPSILON
    for j in range(n):
        if cost == QUADRATIC:
            total += 0.5 * (<double> a[j] - y[j]) * (<double> a[j] - y[j])
        elif cost == CROSS_ENTROPY:
            if y[j] != 0:
                total -= y[j] * log(max(<double> a[j], least))
            if y[j] != 1:
                total -= (1 - y[j]) * log(max(1 - <double> a[j], least))
        elif cost == LOG_LIKELIHOOD:
            if y[j] != 0:
                total -= y[j] * log(max(<double> a[j], least))
        elif cost == POISSON:
            total += a[j]
            if y[j] != 0:
                total -= y[j] * log(max(<double> a[j], DBL_MIN))
    return total


cdef void output_error(
    int cost,            # IN
    const Layer* layer,  # IN
    Py_ssize_t n,        # IN
    const real* a,       # IN      output activations
    Py_ssize_t a_row,    # IN
    real cost_weight,    # IN
    real* delta,         # IN/OUT  targets y, then the error of the output layer; 0 in the padding
    Py_ssize_t row,      # IN
) noexcept nogil:
    """Replace the targets y by cost_weight * dC/dz, where dC/dz = dC/da * sigma'(z) (BP1)."""
    cdef Py_ssize_t s, j
    cdef real total
    for s in range(n):
        total = 1
        if cost == LOG_LIKELIHOOD:  # of a softmax: dC/dz = a sum(y) - y
            total = 0
            for j in range(layer.fan_out):
                total += delta[s * row + j]
        # CROSS_ENTROPY of a sigmoid: its denominator a (1 - a) cancels the slope; POISSON of an
        # exponential: a does.
        for j in range(layer.fan_out):
            delta[s * row + j] = cost_weight * (a[s * a_row + j] * total - delta[s * row + j])
        for j in range(layer.fan_out, layer.width):
            delta[s * row + j] = 0
    if slope_stays(cost, layer):
        multiply_by_slope(layer, n, a, a_row, delta, row)
        if cost == POISSON:  # dC/da = 1 - y / a
            for s in range(n):
                for j in range(layer.fan_out):
                    delta[s * row + j] /= a[s * a_row + j]


cdef inline bint slope_stays(int cost, const Layer* layer) noexcept nogil:
    """Whether the slope of the output layer is a factor of its error, as nothing cancels it."""
    return cost == QUADRATIC or (cost == POISSON and layer.activation == SOFTPLUS)


cdef void output_error_change(
    int cost,            # IN
    const Layer* layer,  # IN
    const real* y,       # IN   targets of a sample
    const real* a,       # IN   its output activations
    const real* d,       # IN   their error dC/dz
    const real* dz,      # IN   how the weighted inputs change along a direction,
    const real* da,      # IN   and the activations
    real cost_weight,    # IN
    real* work,          # WORK
    real* change,        # OUT  how dC/dz changes; 0 in the padding
) noexcept nogil:
    """Compute the change of the output layer's error along a direction."""
    cdef Py_ssize_t j
    cdef real total = 1
    clear(layer.width, change)
    clear(layer.width, work)
    if cost == LOG_LIKELIHOOD:
        total = 0
        for j in range(layer.fan_out):
            total += y[j]
    for j in range(layer.fan_out):
        # where d = cost_weight (a sum(y) - y), or (a - y)
        change[j] = cost_weight * da[j] * total
        work[j] = d[j] * dz[j]
    if slope_stays(cost, layer):
        multiply_by_slope(layer, 1, a, 0, change, 0)
        multiply_by_curvature(layer, 1, a, 0, work, 0)
        for j in range(layer.fan_out):
            if cost == POISSON:  # d = (1 - y / a) slope
                change[j] *= y[j] / (a[j] * a[j])
            change[j] += work[j]
