# Products of matrices: one contract, on which forward, backward and update each make one call.
#
#     C = start + X Y
#
# where start is 0 (FROM_ZERO), a row, such as the biases (FROM_ROW), or scale times what is there
# (FROM_C), which is added last: a weight is rounded once a step, however many terms the step has. The
# operands are pointers, as each lies with distances of its own: X[i, p] is X[i x_row + p x_term], so
# that a transpose is an exchange of two numbers; Y and C have whole cache lines of columns.
#
# Register tiles in vector types (simd_vector.h) do it with gcc and clang; `plain_gemm` is the same in
# plain loops, for other compilers and for FASTBP_PLAIN builds, which tests use.


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
    PrefetchQueue* queue,  # IN      to be fetched meanwhile, or NULL
) noexcept nogil:
    """Compute C = start + X Y."""
    if PLAIN_LOOPS:
        plain_gemm(start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale)
    elif real is float:
        multiply_float(
            start, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
            queue,
        )  # fmt: skip
    else:
        multiply_double(
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
    """Compute C = start + X Y, four rows of C and a cache line of columns at a time."""
    cdef Py_ssize_t i = 0, j
    while i < n_rows:
        for j from 0 <= j < n_columns by LINE // <Py_ssize_t> sizeof(real):
            if n_rows - i >= 4:
                plain_tile(
                    4, start, n_terms, X + i * x_row, x_row, x_term, Y + j, y_row, C + i * c_row + j,
                    c_row, row + j if start == FROM_ROW else NULL, scale,
                )  # fmt: skip
            else:
                plain_tile(
                    1, start, n_terms, X + i * x_row, x_row, x_term, Y + j, y_row, C + i * c_row + j,
                    c_row, row + j if start == FROM_ROW else NULL, scale,
                )  # fmt: skip
        i += 4 if n_rows - i >= 4 else 1


cdef inline void plain_tile(
    Py_ssize_t rows,  # IN   a constant, 4 or 1, so that sums stay in registers
    int start,
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
    cdef real[4 * 16] sums
    cdef real x
    cdef Py_ssize_t i, j, p, line = LINE // <Py_ssize_t> sizeof(real)
    # A single term is added to C at once, and rounded with it.
    cdef bint at_once = start == FROM_C and n_terms == 1
    for i in range(rows):
        for j in range(line):
            sums[i * line + j] = 0
            if start == FROM_ROW:
                sums[i * line + j] = row[j]
            elif at_once:
                sums[i * line + j] = scale * C[i * c_row + j]
    for p in range(n_terms):
        for i in range(rows):
            x = X[i * x_row + p * x_term]
            for j in range(line):
                sums[i * line + j] += x * Y[p * y_row + j]
    for i in range(rows):
        for j in range(line):
            if start == FROM_C and not at_once:
                sums[i * line + j] += scale * C[i * c_row + j]
            C[i * c_row + j] = sums[i * line + j]


cdef inline void transpose(
    Py_ssize_t n, Py_ssize_t m, const real* source, Py_ssize_t row, real* target, Py_ssize_t column
) noexcept nogil:
    """Copy source (n, m), rows `row` apart, to target (m, n), rows `column` apart."""
    if real is float:
        transpose_float(n, m, source, row, target, column)
    else:
        transpose_double(n, m, source, row, target, column)


cdef inline bint finite(Py_ssize_t n, const real* values) noexcept nogil:
    """Whether no value is NaN or infinite."""
    if real is float:
        return finite_float(n, values)
    else:
        return finite_double(n, values)


cdef inline double squares(Py_ssize_t n, const real* values) noexcept nogil:
    """Return the sum of squares; a double, as that of floats may be beyond a float."""
    if real is float:
        return squares_float(n, values)
    else:
        return squares_double(n, values)


cdef inline void copy(Py_ssize_t n, const real* source, real* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = source[i]


cdef inline void clear(Py_ssize_t n, real* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = 0
