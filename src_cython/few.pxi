# One sample, or one mini-batch, on the public arrays: no packing, and a gate in compiled code.
#
# Each door looks at all it is given, and holds it, before the first sum: an exact list of
# exact ndarrays, native float32 or float64, aligned, C-contiguous, of the shapes of the layout
# table, samples finite. That is nearly always so, and nothing of it runs code of the user's. At
# anything else a door says so, with outputs that mean nothing, and the Python gate
# takes over, to convert the rest or to say what is wrong.
#
# Held: biases, weights, then where it ends the results in the same order, then x and y of each
# sample. Scratch is that of a block of n samples (core.pyx), without what is behind the errors.

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    Py_buffer,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from numpy import ndarray as numpys_ndarray

cdef type NDARRAY = numpys_ndarray  # NumPy's headers are not needed


cdef bint hold(
    array, Py_ssize_t n, Py_ssize_t m, Py_ssize_t itemsize, Py_buffer* view
) noexcept:
    """Hold an array that a kernel can read, (n, m); of either type if itemsize is 0."""
    if type(array) is not NDARRAY:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except Exception:  # not contiguous, or of a type that no buffer has
        return False
    return (
        view.ndim == 2
        and view.shape[0] == n
        and view.shape[1] == m
        and (view.itemsize == itemsize or itemsize == 0)
        and (view.format[0] == c"d" or view.format[0] == c"f")  # no order of bytes before it
        and view.format[1] == 0
        and <uintptr_t> view.buf % view.itemsize == 0
    )


cdef bint hold_layers(
    arrays, bint weights, const Py_ssize_t* table, Py_ssize_t last, Py_ssize_t itemsize,
    Py_buffer* views,
) noexcept:  # fmt: skip
    """Hold the biases or the weights of all layers."""
    cdef Py_ssize_t l
    if type(arrays) is not list or len(<list> arrays) != last:
        return False
    for l in range(last):
        table += N_COLUMNS
        if not hold(
            (<list> arrays)[l], table[FAN_OUT], table[FAN_IN] if weights else 1, itemsize, views + l
        ):
            return False
    return True


cdef bint fetch(const Py_buffer* view, Py_ssize_t n, real* target) noexcept nogil:
    """Copy a column of n values into the network's type; return whether all are finite."""
    cdef Inputs column = Inputs(NULL, NULL, n)
    cdef bint good
    if view.itemsize == sizeof(float):
        column.floats = <const float*> view.buf
        good = finite(n, column.floats)
    else:
        column.doubles = <const double*> view.buf
        good = finite(n, column.doubles)
    load(column, 0, target)
    return good


cdef bint few_forward(
    const Py_ssize_t* table,
    Py_ssize_t last,         # IN   the last layer
    const Py_buffer* held,   # IN   biases, weights
    const Py_buffer* x,      # IN   x of the first sample, y behind it, and so on
    Py_ssize_t stride,       # IN   from x to x of the next sample
    Py_ssize_t n,
    real* scratch,           # OUT  the activations of every layer
) noexcept nogil:
    """Compute the activations of n samples; return whether their inputs are finite."""
    cdef Py_ssize_t l, s, width_in, width = table[WIDTH]
    cdef const Py_ssize_t* row = table
    cdef bint good = True
    cdef real* a = scratch
    cdef real* z
    for s in range(n):
        good = fetch(x + s * stride, table[FAN_OUT], scratch + s * width) and good
    for l in range(last):
        row += N_COLUMNS
        width_in, width = width, row[WIDTH]
        z = scratch + n * row[UNIT]
        if real is float:
            dots_float(
                row[FAN_OUT], n, row[FAN_IN], <const float*> held[last + l].buf, a, width_in,
                <const float*> held[l].buf, z, width,
            )  # fmt: skip
        else:
            dots_double(
                row[FAN_OUT], n, row[FAN_IN], <const double*> held[last + l].buf, a, width_in,
                <const double*> held[l].buf, z, width,
            )  # fmt: skip
        for s in range(n):
            activate(<int> row[ACTIVATION], row[FAN_OUT], z + s * width)
        a = z
    return good


cdef inline real combine(
    Py_ssize_t n_rows, Py_ssize_t n, Py_ssize_t n_terms,
    const real* X, Py_ssize_t x_row, Py_ssize_t x_term, const real* Y, Py_ssize_t y_row,
    const real* B, real scale, real* C, Py_ssize_t c_row,
) noexcept nogil:  # fmt: skip
    """Compute C = scale B + X Y (simd.h); return 0 if that is finite, else NaN."""
    if real is float:
        return combine_float(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )
    else:
        return combine_double(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )


cdef int few_backward(
    const Py_ssize_t* table,
    Py_ssize_t last,
    const Py_buffer* held,  # IN   biases, weights, results: these are written
    const Py_buffer* y,     # IN   y of the first sample
    Py_ssize_t n,
    int cost,
    real scale,             # IN   of the gradient
    bint add,               # IN   whether the result is that of a step, not the gradient alone
    real decay,             # IN   of the weights that it is added to
    real* scratch,          # IN/OUT  activations, then errors, too
) noexcept nogil:
    """Compute the gradient of n samples, or the parameters after a step by it."""
    cdef const Py_ssize_t* row = table + last * N_COLUMNS
    cdef const Py_ssize_t* below
    cdef Py_ssize_t l, s, j, fan_in, fan_out = row[FAN_OUT], width = row[WIDTH]
    cdef real* deltas = scratch + n * (row[UNIT] + width)
    cdef real* delta = deltas + n * row[UNIT]
    cdef real* prev
    cdef const real* a = scratch + n * row[UNIT]
    cdef const real* w
    cdef const real* b
    cdef real* out
    cdef real bad = 0
    cdef bint good = True
    for s in range(n):
        good = fetch(y + 2 * s, fan_out, delta + s * width) and good
        output_delta(
            cost, <int> row[ACTIVATION], fan_out, a + s * width, scale, delta + s * width
        )  # BP1
    if not good:
        return -1
    for l in range(last - 1, -1, -1):
        below = row - N_COLUMNS
        fan_in, fan_out, width = row[FAN_IN], row[FAN_OUT], row[WIDTH]
        b, w = <const real*> held[l].buf, <const real*> held[last + l].buf
        a = scratch + n * below[UNIT]
        out = <real*> held[2 * last + l].buf
        for j in range(fan_out):
            out[j] = b[j] if add else 0
        for s in range(n):
            for j in range(fan_out):
                out[j] += delta[s * width + j]  # BP3
        for j in range(fan_out):
            bad += 0 * out[j]
        bad += combine(
            fan_out, fan_in, n, delta, 1, width, a, below[WIDTH],
            w if add else NULL, decay, <real*> held[3 * last + l].buf, fan_in,
        )  # BP4  # fmt: skip
        if l > 0:
            prev = deltas + n * below[UNIT]
            combine(
                n, fan_in, fan_out, delta, width, 1, w, fan_in, NULL, <real> 0, prev, below[WIDTH]
            )
            for s in range(n):
                times_slope(
                    <int> below[ACTIVATION], fan_in, a + s * below[WIDTH], prev + s * below[WIDTH]
                )  # BP2
            delta = prev
        row = below
    return bad == 0


cdef int few(
    const Py_ssize_t* table, Py_ssize_t last, const Py_buffer* held, Py_ssize_t n, int cost,
    real scale, bint add, real decay, real* scratch,
) noexcept nogil:  # fmt: skip
    """Take n samples forward and backward; return what is finite: -1 not the samples, 0, 1 all."""
    cdef const Py_buffer* x = held + 4 * last
    if not few_forward(table, last, held, x, 2, n, scratch):
        return -1
    return few_backward(table, last, held, x + 1, n, cost, scale, add, decay, scratch)


cdef inline void* aligned(void* memory) noexcept nogil:
    return <void*> ((<uintptr_t> memory + LINE - 1) // LINE * LINE)


cdef inline Py_ssize_t scratch_bytes(
    const Py_ssize_t* table, Py_ssize_t last, Py_ssize_t itemsize
) noexcept nogil:
    """Return what the activations of one sample take."""
    return (table[last * N_COLUMNS + UNIT] + table[last * N_COLUMNS + WIDTH]) * itemsize


def feedforward(
    const Py_ssize_t[:, ::1] layout,  # IN
    Py_ssize_t itemsize,              # IN   of the network's type
    biases,                           # IN   anything, as are all below
    weights,                          # IN
    x,                                # IN
    out,                              # OUT  (n_L, 1)
):
    """Compute the output activations of one sample; return whether all could be read."""
    cdef Py_ssize_t last = layout.shape[0] - 1, i
    cdef const Py_ssize_t* table = &layout[0, 0]
    cdef Py_ssize_t n_out = layout[last, FAN_OUT], unit = layout[last, UNIT]
    cdef Py_buffer* held = <Py_buffer*> calloc(2 * last + 2, sizeof(Py_buffer))
    cdef void* memory = NULL
    cdef void* scratch
    cdef Py_buffer* x_held = held + 2 * last
    cdef bint good, short_of_memory = False
    cdef fastbp_mode mode
    if held == NULL:
        raise MemoryError
    good = (
        hold_layers(biases, False, table, last, itemsize, held)
        and hold_layers(weights, True, table, last, itemsize, held + last)
        and hold(x, layout[0, FAN_OUT], 1, 0, x_held)
        and hold(out, n_out, 1, itemsize, x_held + 1)
    )
    if good:
        memory = malloc(scratch_bytes(table, last, itemsize) + LINE)
        short_of_memory = memory == NULL
    if memory != NULL:
        scratch = aligned(memory)
        with nogil:
            mode = flush_subnormals()
            if itemsize == sizeof(float):
                good = few_forward(table, last, held, x_held, 1, 1, <float*> scratch)
                copy(n_out, <float*> scratch + unit, <float*> x_held[1].buf)
            else:
                good = few_forward(table, last, held, x_held, 1, 1, <double*> scratch)
                copy(n_out, <double*> scratch + unit, <double*> x_held[1].buf)
            restore(mode)
    for i in range(2 * last + 2):
        PyBuffer_Release(held + i)
    free(held)
    free(memory)
    if short_of_memory:
        raise MemoryError
    return good


def backprop(
    const Py_ssize_t[:, ::1] layout,  # IN
    Py_ssize_t itemsize,              # IN   of the network's type
    biases,                           # IN   anything, as are all below
    weights,                          # IN
    pairs,                            # IN   list of (x, y)
    int cost,                         # IN
    double scale,                     # IN   of the gradient
    bint add,                         # IN   whether to take a step, else the gradient is wanted
    double decay,                     # IN   of the weights, in a step
    new_b,                            # OUT  (n_l, 1) each
    new_w,                            # OUT  (n_l, n_{l-1}) each
):
    """Compute the gradient summed over all pairs, or the parameters after a step by it.

    Return whether that is finite, None if not all could be read.
    """
    cdef Py_ssize_t last = layout.shape[0] - 1, n, i, used
    cdef const Py_ssize_t* table = &layout[0, 0]
    cdef Py_ssize_t n_in = layout[0, FAN_OUT], n_out = layout[last, FAN_OUT]
    cdef Py_buffer* held
    cdef Py_buffer* view
    cdef void* memory = NULL
    cdef bint good, short_of_memory = False
    cdef fastbp_mode mode
    cdef int result = -1
    if type(pairs) is not list:
        return None
    n = len(<list> pairs)
    used = 4 * last + 2 * n
    held = <Py_buffer*> calloc(used, sizeof(Py_buffer))
    if held == NULL:
        raise MemoryError
    good = (
        hold_layers(biases, False, table, last, itemsize, held)
        and hold_layers(weights, True, table, last, itemsize, held + last)
        and hold_layers(new_b, False, table, last, itemsize, held + 2 * last)
        and hold_layers(new_w, True, table, last, itemsize, held + 3 * last)
    )
    view = held + 4 * last
    for i in range(n):
        if not good:
            break
        pair = (<list> pairs)[i]
        good = (
            type(pair) is tuple
            and len(<tuple> pair) == 2
            and hold((<tuple> pair)[0], n_in, 1, 0, view)
            and hold((<tuple> pair)[1], n_out, 1, 0, view + 1)
        )
        view += 2
    if good:
        memory = malloc(2 * n * scratch_bytes(table, last, itemsize) + LINE)
        short_of_memory = memory == NULL
    if memory != NULL:
        with nogil:
            mode = flush_subnormals()
            if itemsize == sizeof(float):
                result = few(
                    table, last, held, n, cost, <float> scale, add, <float> decay,
                    <float*> aligned(memory),
                )  # fmt: skip
            else:
                result = few(
                    table, last, held, n, cost, scale, add, decay, <double*> aligned(memory)
                )
            restore(mode)
    for i in range(used):
        PyBuffer_Release(held + i)
    free(held)
    free(memory)
    if short_of_memory:
        raise MemoryError
    return None if result < 0 else result == 1


# -- the gate of longer runs ---------------------------------------------------------


cdef bint all_held_finite(
    const Py_ssize_t* table, Py_ssize_t last, Py_ssize_t itemsize, const Py_buffer* held
) noexcept nogil:
    """Whether biases and weights are finite."""
    cdef Py_ssize_t i, n
    cdef bint good = True
    for i in range(2 * last):
        n = held[i].len // itemsize
        if itemsize == sizeof(float):
            good = finite(n, <const float*> held[i].buf) and good
        else:
            good = finite(n, <const double*> held[i].buf) and good
    return good


cdef void pack_layers(
    const Py_ssize_t* table, Py_ssize_t last, bint back, const Py_buffer* held, real* block
) noexcept nogil:
    """Copy biases and weights to the block, and zeros to its padding; or all back."""
    cdef Py_ssize_t l, k, fan_in, fan_out, width
    cdef real* w
    cdef real* b
    cdef real* W
    for l in range(last):
        table += N_COLUMNS
        fan_in, fan_out, width = table[FAN_IN], table[FAN_OUT], table[WIDTH]
        b, w, W = <real*> held[l].buf, <real*> held[last + l].buf, block + table[OFFSET]
        if back:
            transpose(fan_in, fan_out, W, width, w, fan_in)
            copy(fan_out, W + fan_in * width, b)
        else:
            transpose(fan_out, fan_in, w, fan_in, W, width)
            copy(fan_out, b, W + fan_in * width)
            for k in range(fan_in + 1):
                clear(width - fan_out, W + k * width + fan_out)


def pack(
    const Py_ssize_t[:, ::1] layout,  # IN
    Py_ssize_t itemsize,              # IN   of the network's type
    biases,                           # IN   anything; OUT if back
    weights,                          # IN   anything; OUT if back
    block,                            # OUT  aligned, of the layout; IN if back; or None
    bint back,                        # IN   whether to copy from the block
    bint search,                      # IN   whether to look for NaN and infinity
):
    """Copy biases and weights to the block, or back; without a block, only look at them.

    Return whether all could be read, and is finite if that is searched for.
    """
    cdef Py_ssize_t last = layout.shape[0] - 1, i
    cdef const Py_ssize_t* table = &layout[0, 0]
    cdef Py_buffer* held = <Py_buffer*> calloc(2 * last + 1, sizeof(Py_buffer))
    cdef bint good
    if held == NULL:
        raise MemoryError
    good = hold_layers(biases, False, table, last, itemsize, held) and hold_layers(
        weights, True, table, last, itemsize, held + last
    )
    if good and block is not None:
        PyObject_GetBuffer(block, held + 2 * last, PyBUF_C_CONTIGUOUS)
    if good:
        with nogil:
            if search:
                good = all_held_finite(table, last, itemsize, held)
            if held[2 * last].buf != NULL:
                if itemsize == sizeof(float):
                    pack_layers(table, last, back, held, <float*> held[2 * last].buf)
                else:
                    pack_layers(table, last, back, held, <double*> held[2 * last].buf)
    for i in range(2 * last + 1):
        PyBuffer_Release(held + i)
    free(held)
    return good


def columns(values, Py_ssize_t start, rows):
    """Copy the columns ``values[start:start + len(rows)]``, a tuple's, to the rows.

    Return whether all could be read: they are of one type, that of the rows.
    """
    cdef Py_buffer target, view
    cdef Py_ssize_t i, n, size
    cdef bint good = True
    PyObject_GetBuffer(rows, &target, PyBUF_C_CONTIGUOUS)
    n, size = target.shape[0], target.shape[1]
    for i in range(n):
        memset(&view, 0, sizeof(view))
        good = hold((<tuple> values)[start + i], size, 1, target.itemsize, &view)
        if good:
            memcpy(<char*> target.buf + i * size * target.itemsize, view.buf, view.len)
        PyBuffer_Release(&view)
        if not good:
            break
    PyBuffer_Release(&target)
    return good
