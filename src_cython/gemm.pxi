# Matrix multiplication. Forward, backward and gradient are each a call for a layer:
#
#     C = start + X Y
#
# where start is zero (FROM_ZERO), a row vector added to every row, such as the biases (FROM_ROW),
# or scale * C (FROM_C). That is added last, unless there is only one term, so that each weight is
# rounded once per update. The operands are pointers, because each has its own strides: X[i, p] is
# X[i * x_row + p * x_term], so that transposing X means swapping the two. The rows of Y and C are
# padded to whole cache lines.
#
# With gcc and clang, register tiles in vector types (simd_vector.h) compute it. `plain_gemm`
# computes the same in plain loops, for other compilers and for FASTBP_PLAIN builds, which tests
# use.


cdef inline void gemm(
    int start,
    Py_ssize_t n_rows,
    Py_ssize_t n_columns,
    Py_ssize_t n_terms,
    const real* X,         # IN      X[i x_row + p x_term]
    Py_ssize_t x_row,
    Py_ssize_t x_term,
    const real* Y,         # IN      (n_terms, y_row)
    Py_ssize_t y_row,
    real* C,               # IN/OUT  (n_rows, c_row)
    Py_ssize_t c_row,
    const real* row,       # IN      (n_columns,), or NULL
    real scale,            # IN
    PrefetchQueue* queue,  # IN      what to prefetch meanwhile, or NULL
) noexcept nogil:
    """Compute C = start + X Y."""
    if PLAIN_LOOPS:
        plain_gemm(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale
        )
    elif real is float:
        gemm_float(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
            queue,
        )  # fmt: skip
    else:
        gemm_double(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
            queue,
        )  # fmt: skip


cdef void plain_gemm(
    int start,
    Py_ssize_t n_rows,
    Py_ssize_t n_columns,
    Py_ssize_t n_terms,
    const real* X,
    Py_ssize_t x_row,
    Py_ssize_t x_term,
    const real* Y,
    Py_ssize_t y_row,
    real* C,
    Py_ssize_t c_row,
    const real* row,
    real scale,
) noexcept nogil:
    """Compute C = start + X Y, two rows of C and a strip of columns at a time."""
    cdef Py_ssize_t i, j, n, two
    for i from 0 <= i < n_rows by 2:
        # Without a second row the first is computed twice, which a single loop costs less than.
        two = 1 if i + 1 < n_rows else 0
        for j from 0 <= j < n_columns by STRIP:
            n = min(n_columns - j, STRIP)
            plain_strip(
                start, n, n_terms, X + i * x_row, X + (i + two) * x_row, x_term, Y + j, y_row,
                C + i * c_row + j, C + (i + two) * c_row + j,
                row + j if start == FROM_ROW else NULL, scale,
            )  # fmt: skip


cdef enum:
    STRIP = 64  # columns, whose sums stay in the nearest cache


cdef inline void plain_strip(
    int start,
    Py_ssize_t n,         # IN   columns
    Py_ssize_t n_terms,
    const real* X_0,      # IN   two rows of X
    const real* X_1,
    Py_ssize_t x_term,
    const real* Y,
    Py_ssize_t y_row,
    real* C_0,            # OUT  two rows of C, or one twice
    real* C_1,
    const real* row,
    real scale,
) noexcept nogil:
    # Local arrays, which no pointer can be an alias of: compilers then fill vectors by themselves.
    cdef real[STRIP] sum_0, sum_1
    cdef real a_0, a_1, a_2, a_3, b_0, b_1, b_2, b_3
    cdef const real* y
    cdef Py_ssize_t j, p
    # The product of a single term is added to scale * C directly, with one rounding.
    cdef bint at_once = start == FROM_C and n_terms == 1
    if start == FROM_ROW:
        for j in range(n):
            sum_0[j] = row[j]
            sum_1[j] = row[j]
    elif at_once:
        for j in range(n):
            sum_0[j] = scale * C_0[j]
            sum_1[j] = scale * C_1[j]
    else:
        for j in range(n):
            sum_0[j] = 0
            sum_1[j] = 0
    # Four terms for each load and store of a sum, added one after the other.
    for p from 0 <= p < n_terms - 3 by 4:
        y = Y + p * y_row
        a_0, a_1 = X_0[p * x_term], X_0[(p + 1) * x_term]
        a_2, a_3 = X_0[(p + 2) * x_term], X_0[(p + 3) * x_term]
        b_0, b_1 = X_1[p * x_term], X_1[(p + 1) * x_term]
        b_2, b_3 = X_1[(p + 2) * x_term], X_1[(p + 3) * x_term]
        for j in range(n):
            sum_0[j] = (
                sum_0[j] + a_0 * y[j] + a_1 * y[y_row + j] + a_2 * y[2 * y_row + j]
                + a_3 * y[3 * y_row + j]
            )  # fmt: skip
            sum_1[j] = (
                sum_1[j] + b_0 * y[j] + b_1 * y[y_row + j] + b_2 * y[2 * y_row + j]
                + b_3 * y[3 * y_row + j]
            )  # fmt: skip
    for p in range(n_terms & ~3, n_terms):
        for j in range(n):
            sum_0[j] += X_0[p * x_term] * Y[p * y_row + j]
            sum_1[j] += X_1[p * x_term] * Y[p * y_row + j]
    if start == FROM_C and not at_once:
        for j in range(n):
            sum_0[j] += scale * C_0[j]
            sum_1[j] += scale * C_1[j]
    # Each in a loop of its own: for all that a compiler knows, the rows might overlap.
    for j in range(n):
        C_0[j] = sum_0[j]
    for j in range(n):
        C_1[j] = sum_1[j]


cdef inline void transpose(
    Py_ssize_t n, Py_ssize_t m, const real* source, Py_ssize_t row, real* target, Py_ssize_t column
) noexcept nogil:
    """Copy source (n, m), of row stride `row`, to target (m, n), of row stride `column`."""
    if real is float:
        transpose_float(n, m, source, row, target, column)
    else:
        transpose_double(n, m, source, row, target, column)


cdef inline bint finite(Py_ssize_t n, const real* values) noexcept nogil:
    """Return whether all values are finite."""
    if real is float:
        return finite_float(n, values)
    else:
        return finite_double(n, values)


cdef inline double squares(Py_ssize_t n, const real* values) noexcept nogil:
    """Return the sum of squares, a double, because it may overflow a float."""
    if real is float:
        return squares_float(n, values)
    else:
        return squares_double(n, values)


cdef inline void copy(Py_ssize_t n, const real* source, real* target) noexcept nogil:
    """Copy n values."""
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = source[i]


cdef inline void clear(Py_ssize_t n, real* target) noexcept nogil:
    """Set n values to zero."""
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = 0
