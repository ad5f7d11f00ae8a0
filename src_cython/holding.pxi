# What keeps a user's arrays where they are while a kernel reads them.
#
# A typed memoryview keeps an array alive, but does not stop `resize(refcheck=False)`, which moves
# its memory. NumPy resizes no array that has a weak reference, and what exports its memory lets
# nobody resize it. So an entry first holds all arrays that it is given, then looks at the first:
# what it allocates in between may set off a collection of garbage, and so a finaliser of the
# user's.

cdef type NDARRAY = ndarray_type  # NumPy's headers are not needed
# What an array says of itself, past what a user's class has by the same name.
cdef object base = NDARRAY.base.__get__
cdef object as_ndarray = NDARRAY.view
# Whose memory an array may be of, and how to ask these where it lies.
cdef tuple EXPORTERS = (bytearray, array_type, mmap)
cdef type STRIDED = type(as_strided(empty(1)).base)


cdef bint is_array(value) noexcept:
    """Whether it is an ndarray, or of a class derived; no code of the user's runs."""
    return PyObject_TypeCheck(value, <PyTypeObject*> NDARRAY)


cdef object owner_of(array):
    """Return whose memory an array's is, or None; no code of the user's runs."""
    if type(array) is NDARRAY:
        return array.base
    if is_array(array):
        return base(array)
    if type(array) is memoryview:
        return array.obj
    return array.base if type(array) is STRIDED else None


cdef int hold(array, list held) except -1:
    """Add to ``held`` what keeps the memory of an array where it is, as long as the list lives."""
    while array is not None:
        if is_array(array):
            held.append(PyWeakref_NewRef(array, None))
        elif type(array) in EXPORTERS:
            try:
                held.append(PyMemoryView_FromObject(array))
            except (ValueError, BufferError):  # a file that was closed: refused when looked at
                pass
        array = owner_of(array)
    return 0


cdef int hold_all(value, list held, int depth=3) except -1:
    """Hold every array in lists and tuples; anything else is refused later.

    The deepest are a mini-batch's: in a pair, in the list of pairs, in the list of all.
    """
    if depth > 0 and (type(value) is list or type(value) is tuple):
        for item in value:
            hold_all(item, held, depth - 1)
    else:
        hold(value, held)
    return 0


cdef int extent(owner, uintptr_t* low, uintptr_t* high) except -1:
    """Find the first byte of an object's memory, and the one past its last.

    A Py_buffer, as the object may be of any type and shape.
    """
    cdef Py_buffer view
    cdef Py_ssize_t i, step
    if is_array(owner) and type(owner) is not NDARRAY:
        owner = as_ndarray(owner, NDARRAY)
    try:
        PyObject_GetBuffer(owner, &view, PyBUF_STRIDES)
    except (ValueError, BufferError):
        if type(owner) is not NDARRAY:  # a file that was closed
            low[0] = high[0] = 0
            return 0
        # Dates have no buffer.
        low[0] = owner.__array_interface__["data"][0]
        high[0] = low[0] + <uintptr_t> owner.nbytes
        return 0
    low[0], high[0] = <uintptr_t> view.buf, <uintptr_t> view.buf + <uintptr_t> view.itemsize
    for i in range(view.ndim):
        step = (view.shape[i] - 1) * view.strides[i]
        if view.shape[i] == 0:
            high[0] = low[0]
            break
        if step < 0:
            low[0] += <uintptr_t> step
        else:
            high[0] += <uintptr_t> step
    PyBuffer_Release(&view)
    return 0


cpdef int refuse_stale(str where, array) except -1:
    """Refuse a view of memory that its owner has given back since the view was made.

    ``resize(refcheck=False)`` of an array moves its memory, whoever else has a view of it.
    """
    cdef uintptr_t low, high, first, last
    owner = owner_of(array)
    if owner is None:
        return 0
    extent(array, &low, &high)
    while owner is not None:
        if is_array(owner) or type(owner) in EXPORTERS:
            extent(owner, &first, &last)
            if low < first or high > last:
                expected, got = "an array in its memory", "one whose owner was resized"
                raise ValueError(error_message(where, expected, got, "resize a copy"))
        owner = owner_of(owner)
    return 0
