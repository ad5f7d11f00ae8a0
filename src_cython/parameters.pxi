# Where a network's numbers lie.
#
# The parameter block. All layers lie in one aligned buffer, `params`. Layer l is a matrix W of
# fan_in + 1 rows (the last is the bias) and `width` columns: fan_out, padded with zeros to whole
# cache lines. Rows are inputs, so that forward, backward and update walk contiguous memory; W[k, j]
# is `params[layer.offset + k * layer.width + j]`. Gradients and an optimizer's moments have the same
# layout.
#
# The layout table has one row a layer, row 0 the input; fastbp/parameters.py fills it and is the only
# other place that knows an offset.
#
# The workspace holds buffers of one row a sample: activations `a`, errors `delta`, and what else a
# pass needs. Neuron j of layer l of sample s is `a[s, layers[l].activation_offset + j]`. Beside it
# each thread has room for values with samples as columns, `transposed`: the errors of two layers, or
# its share of a layer's activations.

# A row of the layout table.
cdef struct Layer:
    Py_ssize_t fan_in
    Py_ssize_t fan_out
    Py_ssize_t width  # fan_out, padded to whole cache lines
    Py_ssize_t offset  # of the layer's matrix in the parameter block
    Py_ssize_t activation_offset  # of the layer in a row of the workspace
    Py_ssize_t activation

cdef enum:
    BLOCK = 128  # samples at most that the workspace holds

# The type of parameters, activations and gradients: the network's dtype.
ctypedef fused real:
    float
    double


@cython.final
@cython.auto_pickle(False)
cdef class Layers:
    """A layout table, checked once.

    Attributes: n_params, numbers of the parameter block; row_width, of a row of the workspace.
    """

    cdef const Layer[::1] rows
    cdef readonly Py_ssize_t n_params, row_width
    cdef list held

    def __cinit__(self, table not None):
        self.held = []
        hold(table, self.held)
        self.rows = table
        cdef Py_ssize_t last = self.rows.shape[0] - 1
        if last < 1:
            raise ValueError(error_message("layers", "two layers or more", last + 1))
        cdef const Layer* output = &self.rows[last]
        self.n_params = output.offset + (output.fan_in + 1) * output.width
        self.row_width = output.activation_offset + output.width

    cpdef Py_ssize_t n_transposed(self, Py_ssize_t rows, Py_ssize_t itemsize):
        """Return how many values of ``transposed`` each thread has, for so many rows."""
        cdef Py_ssize_t l, widest = 0
        check_itemsize(itemsize)
        for l in range(self.rows.shape[0]):
            widest = max(widest, self.rows[l].width)
        return 2 * widest * whole_lines(rows, itemsize)


cdef inline Py_ssize_t whole_lines(Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """Round n numbers up to whole cache lines."""
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
    """Refuse a parameter block, a workspace or `transposed` that is too small or not aligned."""
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
    if n_threads > 1:  # as far from one thread's room to the next
        check_aligned("transposed", <const void*> &transposed[1, 0])
    return 0


cdef int check_block(str where, Layers layers, const real[::1] block) except -1:
    """Refuse what is not laid out as the parameters of these layers."""
    if block.shape[0] != layers.n_params:
        wrong_length(where, layers.n_params, block.shape[0])
    return check_aligned(where, <const void*> &block[0])


def aligned(Py_ssize_t length, dtype):
    """Return an uninitialised vector that begins a cache line."""
    cdef Py_ssize_t itemsize = dtype.itemsize, start
    cdef Py_buffer view
    check_itemsize(itemsize)
    raw = empty(length + LINE // itemsize, dtype)
    PyObject_GetBuffer(raw, &view, PyBUF_STRIDES)  # a memoryview would have to be of either type
    start = <Py_ssize_t> (-<uintptr_t> view.buf % LINE) // itemsize
    PyBuffer_Release(&view)
    return raw[start : start + length]


cdef int check_itemsize(Py_ssize_t itemsize) except -1:
    """Refuse a network of another type than float32 or float64."""
    if itemsize != sizeof(float) and itemsize != sizeof(double):
        raise TypeError(error_message("dtype", "float32 or float64", f"items of {itemsize} bytes"))
    return 0


cdef int check_length(str where, Py_ssize_t least, Py_ssize_t got) except -1:
    if got < least:
        wrong_length(where, least, got)
    return 0


cdef int wrong_length(str where, Py_ssize_t expected, Py_ssize_t got) except -1:
    hint = "the network or its data was changed in the midst of a call"
    raise ValueError(error_message(where, f"{expected} numbers", got, hint))


cdef int check_aligned(str where, const void* start) except -1:
    """Vectors are read from addresses that the length of a cache line divides."""
    if <uintptr_t> start % LINE:
        raise ValueError(
            error_message(where, f"an address that {LINE} divides", <uintptr_t> start)
        )
    return 0
