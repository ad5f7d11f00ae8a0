# Activations and costs: the one compiled place that knows them. An entry is a code
# (interface.pxd), a name (core.pyx), and an answer to each question here: its value, its slope
# and curvature from its own output, the output error and its change. The gate admits only codes that have a
# name, so no switch has a branch for others.


cdef inline void activate(
    int activation,  # IN
    Py_ssize_t n,    # IN
    real* z,         # IN/OUT  weighted inputs, then activations
) noexcept nogil:
    """Replace z by the activation of z."""
    if activation == SIGMOID:
        if real is float:
            sigmoid_float(n, z)
        else:
            sigmoid_double(n, z)


cdef inline void times_slope(
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN      activations
    real* delta,     # IN/OUT
) noexcept nogil:
    """Multiply delta by the derivative of the activation, taken from its output a."""
    cdef Py_ssize_t j
    if activation == SIGMOID:
        for j in range(n):
            delta[j] *= a[j] * (1 - a[j])


cdef inline void times_curvature(
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN      activations
    real* factor,    # IN/OUT
) noexcept nogil:
    """Multiply by the second derivative of the activation over the first, from its output a."""
    cdef Py_ssize_t j
    if activation == SIGMOID:
        for j in range(n):
            factor[j] *= 1 - 2 * a[j]


cdef inline void output_delta(
    int cost,        # IN
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN      output activations
    real scale,      # IN
    real* delta,     # IN/OUT  targets y, then the error of the output layer
) noexcept nogil:
    """Replace the targets y by scale times dC/dz of the output layer (BP1)."""
    cdef Py_ssize_t j
    for j in range(n):
        delta[j] = scale * (a[j] - delta[j])
    if cost == QUADRATIC:
        times_slope(activation, n, a, delta)
    # CROSS_ENTROPY of a sigmoid: its denominator a (1 - a) cancels the slope.


cdef inline void output_change(
    int cost,        # IN
    int activation,  # IN
    Py_ssize_t n,    # IN
    const real* a,   # IN   output activations
    const real* d,   # IN   their error dC/dz
    const real* dz,  # IN   how the weighted inputs change along a direction,
    const real* da,  # IN   and the activations
    real* work,      # WORK
    real* change,    # OUT  how dC/dz changes
) noexcept nogil:
    """Compute the change of the output layer's error along a direction."""
    cdef Py_ssize_t j
    for j in range(n):
        change[j] = da[j]  # CROSS_ENTROPY of a sigmoid: d = a - y
        work[j] = d[j] * dz[j]
    if cost == QUADRATIC:  # d = (a - y) slope
        times_slope(activation, n, a, change)
        times_curvature(activation, n, a, work)
        for j in range(n):
            change[j] += work[j]
