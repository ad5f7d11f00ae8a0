# Samples, in any of the supported forms.

@cython.final
@cython.auto_pickle(False)
cdef class Samples:
    """Inputs, one row a sample, with their targets and weights.

    X: inputs (n, n_0), float32 or float64. Y: targets (n, n_L), of the network's type, or None.
    weights: (n,) weights of the samples' costs, of the network's type, or None. packed, starts: the
    nonzeros of X, by ``pack_nonzeros``, which are then read instead of X, or None. The arrays
    cannot be moved while this object exists.

    A new form of inputs is one more view here, with a branch in ``load`` and in ``check_places``,
    and in packed_inputs.pxi and one_line_layers.pxi if these fast paths are to take it.
    """

    cdef Py_ssize_t n, n_0
    # Exactly one of these two is not None. A second fused type would double the number of compiled
    # functions.
    cdef const float[:, ::1] floats
    cdef const double[:, ::1] doubles
    cdef const uint8_t[::1] packed
    cdef const Py_ssize_t[::1] starts  # byte offset of each sample in packed, and of the end
    # One of each pair is set, that of the network's type.
    cdef const float[:, ::1] float_targets
    cdef const double[:, ::1] double_targets
    cdef const float[::1] float_weights
    cdef const double[::1] double_weights
    cdef object X, Y, weights
    cdef list held

    def __cinit__(self, X not None, Y=None, weights=None, packed=None, starts=None):
        self.held = []
        # Not chained: Cython 3.2 cannot translate that.
        self.floats, self.float_targets = None, None
        self.doubles, self.double_targets = None, None
        self.float_weights = None
        self.double_weights = None
        self.packed, self.starts = None, None
        self.X, self.Y, self.weights = X, Y, weights
        for array in (X, Y, weights, packed, starts):
            hold(array, self.held)
        if not is_array(X):
            raise TypeError(error_message("X", "an array", type(X).__name__))
        refuse_stale("X", X)
        if X.itemsize == sizeof(float):
            self.floats = X
            self.n, self.n_0 = self.floats.shape[0], self.floats.shape[1]
        else:
            self.doubles = X
            self.n, self.n_0 = self.doubles.shape[0], self.doubles.shape[1]
        if Y is not None:
            refuse_stale("Y", Y)
            if Y.itemsize == sizeof(float):
                self.float_targets = Y
            else:
                self.double_targets = Y
        if weights is not None:
            refuse_stale("sample_weight", weights)
            if weights.itemsize == sizeof(float):
                self.float_weights = weights
            else:
                self.double_weights = weights
        if packed is not None:
            self.packed, self.starts = packed, starts
            if self.starts.shape[0] != self.n + 1:
                wrong_length("starts", self.n + 1, self.starts.shape[0])
            # Kernels read up to a cache line past the end.
            check_length("packed", self.starts[self.n] + LINE, self.packed.shape[0])


cdef const real[:, ::1] targets_of(Samples samples, const Layer[::1] layers, real* kind) except *:
    """Return the targets, (n, n_L). Only the type of ``kind`` is used."""
    cdef const real[:, ::1] Y
    cdef Py_ssize_t n_L = layers[layers.shape[0] - 1].fan_out
    if real is float:
        Y = samples.float_targets
    else:
        Y = samples.double_targets
    if Y is None:
        raise TypeError(error_message("Y", "targets of the network's dtype", "none"))
    if Y.shape[0] != samples.n or Y.shape[1] != n_L:
        raise ValueError(
            error_message("Y", f"shape ({samples.n}, {n_L})", (Y.shape[0], Y.shape[1]))
        )
    return Y


cdef const real[::1] weights_of(Samples samples, real* kind) except *:
    """Return the weights of samples' costs, (n,), or None. Only ``kind``'s type is used."""
    cdef const real[::1] weights
    if real is float:
        weights = samples.float_weights
    else:
        weights = samples.double_weights
    if weights is None:
        if samples.float_weights is not None or samples.double_weights is not None:
            raise TypeError(error_message("sample_weight", "the network's dtype", "another"))
    elif weights.shape[0] != samples.n:
        wrong_length("sample_weight", samples.n, weights.shape[0])
    return weights


cdef int check_samples(Samples samples, const Layer[::1] layers) except -1:
    """Raise if the number of inputs is not the network's, or an array was moved."""
    check_places(samples)
    if samples.n_0 != layers[0].fan_out:
        raise ValueError(
            error_message("X", f"shape (n, {layers[0].fan_out})", (samples.n, samples.n_0))
        )
    return 0


cdef int check_places(Samples samples) except -1:
    """Raise if an array was moved since these Samples were created.

    To be called when an entry has made all its views: on Python 3.11, making one may set off
    garbage collection, and so a finaliser, and `ndarray.__setstate__` replaces memory in use.
    """
    if samples.n == 0:
        return 0
    if samples.floats is not None:
        check_place("X", samples.X, <const void*> &samples.floats[0, 0], samples.n)
    else:
        check_place("X", samples.X, <const void*> &samples.doubles[0, 0], samples.n)
    if samples.float_targets is not None:
        check_place("Y", samples.Y, <const void*> &samples.float_targets[0, 0], samples.n)
    elif samples.double_targets is not None:
        check_place("Y", samples.Y, <const void*> &samples.double_targets[0, 0], samples.n)
    if samples.float_weights is not None:
        check_place(
            "sample_weight", samples.weights, <const void*> &samples.float_weights[0], samples.n
        )
    elif samples.double_weights is not None:
        check_place(
            "sample_weight", samples.weights, <const void*> &samples.double_weights[0], samples.n
        )
    return 0


cdef int check_place(str where, array, const void* start, Py_ssize_t n) except -1:
    """Raise if the address of an array, or its number of rows, is no longer that."""
    cdef Py_buffer view
    cdef bint good
    refuse_stale(where, array)
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    good = view.buf == start and view.ndim > 0 and view.shape[0] == n
    PyBuffer_Release(&view)
    if not good:
        raise ValueError(
            error_message(where, "an array in its memory", "one whose memory was replaced")
        )
    return 0


cdef int check_order(const Py_ssize_t[::1] order, Samples samples) except -1:
    """Raise if an index is not that of a sample."""
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(order.shape[0]):
        good &= (0 <= order[i]) & (order[i] < samples.n)
    if not good:
        raise ValueError(error_message("order", f"indices of {samples.n} samples", "others"))
    return 0


cdef int check_range(Py_ssize_t start, Py_ssize_t stop, Samples samples) except -1:
    """Raise unless start to stop is a range of samples."""
    if not 0 <= start <= stop <= samples.n:
        raise ValueError(
            error_message("start, stop", f"a range within {samples.n} samples", (start, stop))
        )
    return 0


cdef const Py_ssize_t[::1] UNSHUFFLED = None  # the order of samples that are not shuffled


cdef inline Py_ssize_t sample_at(const Py_ssize_t[::1] order, Py_ssize_t position) noexcept nogil:
    """Return the index of the sample at that position of the order."""
    return position if order is None else order[position]


cdef void load(Samples samples, Py_ssize_t i, real[:, ::1] a, Py_ssize_t s) noexcept nogil:
    """Copy the inputs of sample i to row s of the workspace, in the network's type."""
    cdef Py_ssize_t k
    if samples.floats is not None:
        for k in range(samples.n_0):
            a[s, k] = samples.floats[i, k]
    elif real is float:
        for k in range(samples.n_0):  # finite, so that it saturates a neuron
            a[s, k] = <real> max(min(samples.doubles[i, k], BOUND), -BOUND)
    else:
        for k in range(samples.n_0):
            a[s, k] = samples.doubles[i, k]
