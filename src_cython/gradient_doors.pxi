# Gradients of samples, in all forms. A Run holds what they have in common; its methods differ in
# what they write.

@cython.final
@cython.auto_pickle(False)
cdef class Run:
    """A network and samples to take through it.

    layout: of the network's Layout; params: its block; scratch: with so many kinds of values of
    each layer, for ``rows`` samples; X (., n_0), float or double; Y (., n_L) or None; order:
    indices into these; weights (.,) or None.
    """

    cdef object layout, params, scratch, X, Y, order, weights
    cdef Py_ssize_t kinds, rows
    cdef int cost
    cdef double scale

    def __init__(
        self, layout, params, scratch, Py_ssize_t kinds, Py_ssize_t rows, X, Y, order,
        int cost, double scale, weights,
    ):  # fmt: skip
        self.layout, self.params, self.scratch = layout, params, scratch
        self.X, self.Y, self.order, self.weights = X, Y, order, weights
        self.kinds, self.rows, self.cost, self.scale = kinds, rows, cost, scale

    def gradient(self, grads, bint add, bint squared=False, double max_norm=INFINITY, norms=None):
        """Sum the gradients into a block; clipped, if there is a place (n,) for their norms."""
        cdef list holds = held(self)
        cdef Pass run = entered(self)
        cdef Sum total = Sum(block_of(grads, &run, True), add, squared, max_norm, NULL)
        if norms is not None:
            total.norms = address("norms", norms, run.itemsize, run.n, True)
        with nogil:
            kernels.gradient(&run, &total)

    def norms(self, out, bint per_layer):
        """Write the norm of each sample's gradient, (n,), or (n, layers)."""
        cdef list holds = held(self)
        cdef Pass run = entered(self)
        cdef Py_ssize_t each = run.last if per_layer else 1
        cdef void* target = address("out", out, run.itemsize, run.n * each, True)
        with nogil:
            kernels.norms(&run, per_layer, target)

    def values(self, list out, bint errors):
        """Write the activations of all layers, the input's too, or the errors; (n, n_l) each."""
        cdef list holds = held(self, out)
        cdef Pass run = entered(self, errors)
        cdef Py_ssize_t l, first = 1 if errors else 0
        cdef Rows* rows = room_for(out, run.last + 1 - first)
        try:
            for l in range(first, run.last + 1):
                rows[l - first] = rows_of(out[l - first], run.layers[l].fan_out, &run)
            with nogil:
                kernels.values(&run, errors, rows)
        finally:
            free(rows)

    def samples(self, list out):
        """Write each sample's gradient: rows (n, .) by layer for biases, then for weights."""
        cdef list holds = held(self, out)
        cdef Pass run = entered(self)
        cdef const Layer* layer
        cdef Py_ssize_t l
        cdef Rows* rows = room_for(out, 2 * run.last)
        try:
            for l in range(run.last):
                layer = run.layers + l + 1
                rows[l] = rows_of(out[l], layer.fan_out, &run)
                rows[run.last + l] = rows_of(
                    out[run.last + l], layer.fan_out * layer.fan_in, &run
                )
            with nogil:
                kernels.samples(&run, rows)
        finally:
            free(rows)

    def pull(self, out, bint of_outputs):
        """Write the cost's gradient by the inputs, (n, n_0), or the outputs', (n, n_L, n_0)."""
        cdef list holds = held(self)
        cdef Pass run = entered(self, not of_outputs)
        cdef Py_ssize_t times = run.layers[run.last].fan_out if of_outputs else 1
        cdef void* target = address("out", out, run.itemsize, run.n * times * run.inputs.n_0, True)
        with nogil:
            kernels.pull(&run, of_outputs, target)

    def hessian(self, direction, out, bint add):
        """Sum the Hessian's product with a direction into a block; both are blocks."""
        cdef list holds = held(self)
        cdef Pass run = entered(self)
        cdef void* target = block_of(out, &run, True)
        cdef void* along = block_of(direction, &run)
        if self.kinds < 6:
            refuse_length("scratch", 6, self.kinds)
        with nogil:
            kernels.hessian(&run, along, add, target)


cdef list held(Run self, list out=None):
    """Return what keeps the samples, and results, where they are."""
    cdef list holds = []
    for array in [self.X, self.Y, self.weights, *(out or ())]:
        keep(array, holds)
    return holds


cdef Pass entered(Run self, bint targets=True) except *:
    """Return what a kernel needs, each array as it is now."""
    cdef Pass run = pass_of(self.params, self.layout, self.scratch, self.rows, self.X, self.kinds)
    order_of(self.order, &run)
    if targets:
        run.Y = targets_of(self.Y, &run)
    if self.weights is not None:
        run.weights = weights_of(self.weights, &run)
    run.cost, run.scale = self.cost, self.scale
    return run


cdef Rows* room_for(list arrays, Py_ssize_t n) except NULL:
    """Return room to say where n arrays lie; to be freed."""
    if len(arrays) != n:
        refuse_length("out", n, len(arrays))
    cdef Rows* rows = <Rows*> malloc(n * sizeof(Rows))
    if rows == NULL:
        raise MemoryError
    return rows


cdef Rows rows_of(array, Py_ssize_t width, const Pass* run) except *:
    """Return where the rows of an array (n, width) lie: each contiguous, at any distance."""
    cdef Py_buffer view
    cdef Rows rows
    cdef bint good
    refuse_stale("out", array)
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_WRITABLE)
    good = (
        view.ndim == 2 and view.shape[0] == run.n and view.shape[1] == width
        and view.itemsize == run.itemsize and (width == 1 or view.strides[1] == view.itemsize)
    )  # fmt: skip
    rows = Rows(view.buf, view.strides[0] if view.ndim else 0)
    PyBuffer_Release(&view)
    if not good:
        raise ValueError(text("out", f"contiguous rows, ({run.n}, {width})", array.shape))
    return rows
