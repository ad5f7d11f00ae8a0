# Memory layout of parameters, activations and errors.
#
# The parameter block: the parameters of all layers are stored in one aligned buffer, `params`.
# Layer l is a matrix W of fan_in + 1 rows, of which the last holds the biases, and `width` columns:
# fan_out, padded with zeros to whole cache lines. W[k, j], the weight from input k to output j, is
# `params[layer.offset + k * layer.width + j]`. This is the transpose of the book's w_jk, so that
# all passes read contiguous memory. Gradients and an optimizer's moments have the same layout.
#
# The layout table has one row per layer, row 0 for the input layer. Offsets are computed only in
# fastbp/parameters.py, which fills it.
#
# The workspace holds buffers with one row per sample: activations `a`, errors `delta`, and others
# that some passes need. Neuron j of layer l of sample s is `a[s, layers[l].activation_offset + j]`.
# Each thread has a row of `transposed` too, scratch memory for values with one column per sample:
# the errors of two layers, or its share of a layer's activations.

# A row of the layout table.
cdef struct Layer:
    Py_ssize_t fan_in
    Py_ssize_t fan_out
    Py_ssize_t width  # fan_out, padded to whole cache lines
    Py_ssize_t offset  # of W[0, 0] in the parameter block
    Py_ssize_t activation_offset  # first column of the layer in a row of the workspace
    Py_ssize_t activation  # a code of functions.pxi

cdef enum:
    BLOCK = 128  # most rows of a workspace

# The type of parameters, activations and gradients: the network's dtype.
ctypedef fused real:
    float
    double


@cython.final
@cython.auto_pickle(False)
cdef class Layers:
    """A layout table, checked once.

    Attributes: n_params, length of the parameter block; row_width, of a row of the workspace.
    """

    cdef const Layer[::1] table
    cdef readonly Py_ssize_t n_params, row_width
    cdef list held

    def __cinit__(self, table not None):
        self.held = []
        hold(table, self.held)
        self.table = table
        cdef Py_ssize_t last = self.table.shape[0] - 1
        if last < 1:
            raise ValueError(error_message("layers", "two layers or more", last + 1))
        cdef const Layer* output = &self.table[last]
        self.n_params = output.offset + (output.fan_in + 1) * output.width
        self.row_width = output.activation_offset + output.width

    cpdef Py_ssize_t n_transposed(self, Py_ssize_t rows, Py_ssize_t itemsize):
        """Return the length of a row of ``transposed``, for so many rows of the workspace."""
        cdef Py_ssize_t l, widest = 0
        check_itemsize(itemsize)
        for l in range(self.table.shape[0]):
            widest = max(widest, self.table[l].width)
        return 2 * widest * whole_lines(rows, itemsize)


cdef inline Py_ssize_t whole_lines(Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """Return n rounded up to whole cache lines of numbers."""
    cdef Py_ssize_t line = LINE // itemsize
    return (n + line - 1) // line * line


cdef int check_buffers(
    Layers layers,
    const real[::1] params,
    real[:, :, ::1] workspace,
    real[:, ::1] transposed,
    Py_ssize_t n_buffers,
    Py_ssize_t n_threads,
) except -1:
    """Raise if the parameter block, the workspace or `transposed` is too small or not aligned."""
    cdef Py_ssize_t rows = workspace.shape[1]
    check_block("params", layers, params)
    if not 1 <= rows <= BLOCK:
        raise ValueError(error_message("workspace", f"1 to {BLOCK} rows", rows))
    check_length("workspace: buffers", n_buffers, workspace.shape[0])
    if workspace.shape[2] != layers.row_width:
        wrong_length("workspace", layers.row_width, workspace.shape[2])
    check_length("transposed: threads", n_threads, transposed.shape[0])
    check_length("transposed", layers.n_transposed(rows, sizeof(real)), transposed.shape[1])
    check_aligned("workspace", <const void*> &workspace[0, 0, 0])
    check_aligned("transposed", <const void*> &transposed[0, 0])
    if n_threads > 1:  # the stride of its rows
        check_aligned("transposed", <const void*> &transposed[1, 0])
    return 0


cdef int check_block(str where, Layers layers, const real[::1] block) except -1:
    """Raise unless a block has the length and alignment of the parameters."""
    if block.shape[0] != layers.n_params:
        wrong_length(where, layers.n_params, block.shape[0])
    return check_aligned(where, <const void*> &block[0])


def aligned(Py_ssize_t length, dtype):
    """Return an uninitialised vector, aligned to a cache line."""
    cdef Py_ssize_t itemsize = dtype.itemsize, start
    cdef Py_buffer view
    check_itemsize(itemsize)
    raw = empty(length + LINE // itemsize, dtype)
    PyObject_GetBuffer(raw, &view, PyBUF_STRIDES)  # a typed memoryview has one type
    start = <Py_ssize_t> (-<uintptr_t> view.buf % LINE) // itemsize
    PyBuffer_Release(&view)
    return raw[start : start + length]


cdef int check_itemsize(Py_ssize_t itemsize) except -1:
    """Raise unless numbers have the size of float32 or float64."""
    if itemsize != sizeof(float) and itemsize != sizeof(double):
        raise TypeError(error_message("dtype", "float32 or float64", f"items of {itemsize} bytes"))
    return 0


cdef int check_shape(
    str where, Py_ssize_t n_rows, Py_ssize_t n_columns, real[:, ::1] array
) except -1:
    """Raise unless an array has that shape."""
    if array.shape[0] != n_rows or array.shape[1] != n_columns:
        raise ValueError(
            error_message(where, f"shape ({n_rows}, {n_columns})", (array.shape[0], array.shape[1]))
        )
    return 0


cdef int check_length(str where, Py_ssize_t least, Py_ssize_t got) except -1:
    """Raise if there are fewer numbers than needed."""
    if got < least:
        wrong_length(where, least, got)
    return 0


cdef int wrong_length(str where, Py_ssize_t expected, Py_ssize_t got) except -1:
    hint = "the network or its data was changed during a call"
    raise ValueError(error_message(where, f"{expected} numbers", got, hint))


cdef int check_aligned(str where, const void* start) except -1:
    """Raise unless an array is aligned to a cache line, as vectors are read from there."""
    if <uintptr_t> start % LINE:
        raise ValueError(
            error_message(where, f"an address divisible by {LINE}", <uintptr_t> start)
        )
    return 0
