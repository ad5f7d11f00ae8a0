# Gradients of samples, in all forms. A Run holds what they have in common; its methods differ in
# what they write.

@cython.final
@cython.auto_pickle(False)
cdef class Run:
    """A network and samples to take through it. The gate has looked at all.

    layout: of the network's Layout; params: its block; scratch, turned: where its
    scratch, and the room to turn errors in, lie; rows: samples that scratch holds; X (., n_0),
    float or double; Y (., n_L) or None; order: indices into these; weights (.,) or None.
    """

    cdef Pass run
    cdef object held  # what the addresses are of

    def __init__(
        self, layout, params, scratch, Py_ssize_t turned, Py_ssize_t rows, X, Y, order,
        int cost, double scale, weights,
    ):  # fmt: skip
        cdef Py_buffer view = look(order, sizeof(Py_ssize_t))
        self.held = (layout, params, scratch, X, Y, order, weights)
        self.run = pass_of(params, layout, scratch, rows, X)
        self.run.turned = <char*> self.run.scratch + turned * self.run.itemsize
        self.run.Y = address(Y, self.run.itemsize)
        self.run.weights = address(weights, self.run.itemsize)
        self.run.order, self.run.n = <const Py_ssize_t*> view.buf, length(&view)
        self.run.cost, self.run.scale = cost, scale

    def gradient(self, grads, bint add, bint squared=False, double max_norm=INFINITY, norms=None):
        """Sum the gradients into a block; clipped, if there is a place (n,) for their norms."""
        cdef Sum total
        total.grads, total.add, total.squared = written(self, grads), add, squared
        total.max_norm, total.norms = max_norm, written(self, norms)
        with nogil:
            kernels.gradient(&self.run, &total)

    def norms(self, out, bint per_layer):
        """Write the norm of each sample's gradient, (n,), or (n, layers)."""
        cdef void* target = written(self, out)
        with nogil:
            kernels.norms(&self.run, per_layer, target)

    def values(self, list out, bint errors):
        """Write the activations of all layers, the input's too, or the errors; (n, n_l) each."""
        cdef Rows* rows = rows_of(out)
        with nogil:
            kernels.values(&self.run, errors, rows)
        free(rows)

    def samples(self, list out):
        """Write each sample's gradient: rows (n, .) by layer for biases, then for weights."""
        cdef Rows* rows = rows_of(out)
        with nogil:
            kernels.samples(&self.run, rows)
        free(rows)

    def pull(self, out, bint of_outputs):
        """Write the cost's gradient by the inputs, (n, n_0), or the outputs', (n, n_L, n_0)."""
        cdef void* target = written(self, out)
        with nogil:
            kernels.pull(&self.run, of_outputs, target)

    def hessian(self, direction, out, bint add):
        """Sum the Hessian's product with a direction into a block; both are blocks."""
        cdef void* target = written(self, out)
        cdef void* along = address(direction, self.run.itemsize)
        with nogil:
            kernels.hessian(&self.run, along, add, target)


cdef void* written(Run self, array) except? NULL:
    return address(array, self.run.itemsize, True)


cdef Rows* rows_of(list arrays) except NULL:
    """Return where the rows of each array (n, .) lie; to be freed."""
    cdef Py_buffer view
    cdef Py_ssize_t i
    cdef Rows* rows = <Rows*> malloc(len(arrays) * sizeof(Rows))
    if rows == NULL:
        raise MemoryError
    for i in range(len(arrays)):
        PyObject_GetBuffer(arrays[i], &view, PyBUF_STRIDES | PyBUF_WRITABLE)
        rows[i] = Rows(view.buf, view.strides[0])
        PyBuffer_Release(&view)
    return rows
