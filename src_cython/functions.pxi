# Activations and costs: the one compiled place that knows them. An entry is a code
# (interface.pxd), a name (core.pyx), and an answer to each question here. The gate admits only
# codes that have a name, and pairs that fit, so no switch has a branch for others.
#
# Values come in n rows of fan_out, `width` apart. All activations but softmax work on each value
# by itself; it is one of outputs only, whose padding is never read.

cdef enum:
    CHUNK = 64  # values whose slopes are computed at a time


cdef void activate(
    int activation,      # IN
    Py_ssize_t n,        # IN
    Py_ssize_t fan_out,  # IN
    Py_ssize_t width,    # IN
    real* z,             # IN/OUT  weighted inputs, then activations
) noexcept nogil:
    """Replace z by the activation of z."""
    cdef Py_ssize_t j, s, all = (n - 1) * width + fan_out
    if activation == SIGMOID:
        if real is float:
            sigmoid_float(all, z)
        else:
            sigmoid_double(all, z)
    elif activation == TANH:
        if real is float:
            tanh_float(all, z)
        else:
            tanh_double(all, z)
    elif activation == RELU:
        for j in range(all):
            z[j] = 0 if z[j] <= 0 else z[j]  # NaN stays
    elif activation == LEAKY_RELU:
        for j in range(all):
            z[j] = z[j] if z[j] > 0 else <real> LEAK * z[j]
    elif activation == SOFTPLUS:
        if real is float:
            softplus_float(all, z)
        else:
            softplus_double(all, z)
    elif activation == EXPONENTIAL:
        exponential(all, z)
    elif activation == SOFTMAX:
        for s in range(n):
            below_largest(fan_out, width, z + s * width)
        exponential(n * width, z)
        for s in range(n):
            divide_by_sum(fan_out, width, z + s * width)
    # LINEAR: as it is


cdef inline void exponential(Py_ssize_t n, real* z) noexcept nogil:
    if real is float:
        exponential_float(n, z)
    else:
        exponential_double(n, z)


# Rows are whole vectors: what lies between fan_out and width is computed too, for nobody.


cdef inline void below_largest(Py_ssize_t fan_out, Py_ssize_t width, real* z) noexcept nogil:
    cdef Py_ssize_t j
    cdef real largest = z[0]
    for j in range(1, fan_out):
        largest = max(largest, z[j])
    for j in range(width):
        z[j] -= largest


cdef inline void divide_by_sum(Py_ssize_t fan_out, Py_ssize_t width, real* z) noexcept nogil:
    cdef Py_ssize_t j
    cdef real total = 0
    for j in range(fan_out):
        total += z[j]
    for j in range(width):
        z[j] /= total


cdef void times_slope(
    int activation,      # IN
    Py_ssize_t n,        # IN
    Py_ssize_t fan_out,  # IN
    Py_ssize_t width,    # IN
    const real* a,       # IN      activations
    real* delta,         # IN/OUT
) noexcept nogil:
    """Multiply delta by the derivative of the activation, taken from its output a."""
    cdef Py_ssize_t j, s, i, m, all = (n - 1) * width + fan_out
    cdef real one = 1, total  # a literal would be a double
    cdef real[CHUNK] slopes
    if activation == SIGMOID:
        for j in range(all):
            delta[j] *= a[j] * (one - a[j])
    elif activation == TANH:
        for j in range(all):
            delta[j] *= (one - a[j]) * (one + a[j])
    elif activation == RELU:
        for j in range(all):
            delta[j] = delta[j] if a[j] > 0 else 0
    elif activation == LEAKY_RELU:
        for j in range(all):
            delta[j] *= <real> 1 if a[j] > 0 else <real> LEAK
    elif activation == SOFTPLUS:  # 1 - exp(-a)
        for j from 0 <= j < all by CHUNK:
            m = min(CHUNK, all - j)
            copy(m, a + j, slopes)
            if real is float:
                decay_float(m, slopes)
            else:
                decay_double(m, slopes)
            for i in range(m):
                delta[j + i] *= slopes[i]
    elif activation == EXPONENTIAL:
        for j in range(all):
            delta[j] *= a[j]
    elif activation == SOFTMAX:  # a symmetric matrix for each row: diag(a) - a a^T
        for s in range(n):
            total = 0
            for j in range(s * width, s * width + fan_out):
                total += a[j] * delta[j]
            for j in range(s * width, s * width + fan_out):
                delta[j] = a[j] * (delta[j] - total)


cdef void times_curvature(
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN      activations
    real* factor,    # IN/OUT
) noexcept nogil:
    """Multiply by the second derivative of the activation over the first; not of softmax."""
    cdef Py_ssize_t j
    cdef real one = 1, two = 2
    if activation == SIGMOID:
        for j in range(n):
            factor[j] *= one - two * a[j]
    elif activation == TANH:
        for j in range(n):
            factor[j] *= -two * a[j]
    elif activation == SOFTPLUS:  # exp(-a)
        for j in range(n):
            factor[j] *= <real> exp(-a[j])
    elif activation != EXPONENTIAL:
        clear(n, factor)  # LINEAR, RELU, LEAKY_RELU: straight lines


cdef double output_cost(
    int cost,       # IN
    Py_ssize_t n,   # IN
    const real* a,  # IN  output activations
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


cdef void output_delta(
    int cost,        # IN
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN      output activations
    real scale,      # IN
    real* delta,     # IN/OUT  targets y, then the error of the output layer
) noexcept nogil:
    """Replace the targets y by scale times dC/dz of the output layer (BP1)."""
    cdef Py_ssize_t j
    cdef real total = 1
    if cost == LOG_LIKELIHOOD:  # of a softmax: a sum(y) - y
        total = 0
        for j in range(n):
            total += delta[j]
    for j in range(n):
        delta[j] = scale * (a[j] * total - delta[j])
    if cost == QUADRATIC:
        times_slope(activation, 1, n, n, a, delta)
    elif cost == POISSON and activation == SOFTPLUS:  # (1 - y / a) slope
        times_slope(activation, 1, n, n, a, delta)
        for j in range(n):
            delta[j] /= a[j]
    # CROSS_ENTROPY of a sigmoid: its denominator a (1 - a) cancels the slope; POISSON of an
    # exponential: a does.


# The same for one sample and a layer of one line: sigmoids take no call, and stay in registers.


cdef inline void times_line(const real* factor, real* delta) noexcept nogil:
    if real is float:
        times_line_float(factor, delta)
    else:
        times_line_double(factor, delta)


cdef inline void activate_line(
    int activation,
    Py_ssize_t fan_out,
    const real* there,  # IN      1 for each neuron, 0 in the padding
    real* z,            # IN/OUT  weighted inputs, then activations
    real* slope,        # OUT     not of softmax; 0 in the padding
) noexcept nogil:
    if activation == SIGMOID:
        if real is float:
            sigmoid_line_float(there, z, slope)
        else:
            sigmoid_line_double(there, z, slope)
    else:
        activate(activation, 1, fan_out, fan_out, z)
        if activation != SOFTMAX:
            copy(fan_out, there, slope)
            times_slope(activation, 1, fan_out, fan_out, z, slope)


cdef inline void output_delta_line(
    int cost,
    int activation,
    Py_ssize_t fan_out,
    const real* a,
    const real* scale,  # IN      0 in the padding
    const real* slope,  # IN
    real* delta,        # IN/OUT  targets y, then the error; 0 in the padding
) noexcept nogil:
    if activation == SIGMOID:
        if real is float:
            error_line_float(scale, a, delta)
        else:
            error_line_double(scale, a, delta)
        if cost == QUADRATIC:
            times_line(slope, delta)
    else:
        output_delta(cost, activation, fan_out, a, scale[0], delta)


cdef void output_change(
    int cost,        # IN
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* y,   # IN   targets
    const real* a,   # IN   output activations
    const real* d,   # IN   their error dC/dz
    const real* dz,  # IN   how the weighted inputs change along a direction,
    const real* da,  # IN   and the activations
    real scale,      # IN   of the cost
    real* work,      # WORK
    real* change,    # OUT  how dC/dz changes
) noexcept nogil:
    """Compute the change of the output layer's error along a direction."""
    cdef Py_ssize_t j
    cdef real total = 1
    if cost == LOG_LIKELIHOOD:
        total = 0
        for j in range(n):
            total += y[j]
    for j in range(n):
        change[j] = scale * da[j] * total  # where d = scale (a sum(y) - y), or (a - y)
        work[j] = d[j] * dz[j]
    if cost == QUADRATIC or (cost == POISSON and activation == SOFTPLUS):
        times_slope(activation, 1, n, n, a, change)
        times_curvature(activation, n, a, work)
        for j in range(n):
            if cost == POISSON:  # d = (1 - y / a) slope
                change[j] *= y[j] / (a[j] * a[j])
            change[j] += work[j]
