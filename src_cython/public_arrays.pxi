# Doors that take the public arrays as they are, with a gate of their own in compiled code.
#
# Each looks at all it is given, and holds it, before the first sum: an exact list of
# exact ndarrays, native float32 or float64, aligned, C-contiguous, of the shapes of the layout
# table, samples finite. That is nearly always so, and nothing of it runs code of the user's. At
# anything else a door says so, with outputs that mean nothing, and the Python gate
# takes over, to convert the rest or to say what is wrong.

from libc.stdlib cimport calloc, free, malloc

cdef enum:
    # Multiply-adds, some 20 microseconds: for less the GIL is kept, and so is all else in its place.
    SHORT = 1 << 18


cdef struct Memory:
    PyObject* owner  # the array whose memory was looked at last; NULL: none yet
    uintptr_t low
    uintptr_t high


cdef bint hold(
    array, Py_ssize_t n, Py_ssize_t m, Py_ssize_t itemsize, Py_buffer* view, Memory* last
) except -1:
    """Hold an array that a kernel can read, (n, m); of either type if itemsize is 0."""
    if type(array) is not NDARRAY:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except Exception:  # not contiguous, or of a type that no buffer has
        return False
    refuse_stale_part(array, view, last)
    return (
        view.ndim == 2
        and view.shape[0] == n
        and view.shape[1] == m
        and (view.itemsize == itemsize or itemsize == 0)
        and (view.format[0] == c"d" or view.format[0] == c"f")  # no order of bytes before it
        and view.format[1] == 0
        and <uintptr_t> view.buf % view.itemsize == 0
    )


cdef int refuse_stale_part(array, const Py_buffer* view, Memory* last) except -1:
    """Do as ``refuse_stale``. Most columns are parts of one array, which is looked at once."""
    owner = array.base
    if owner is None:
        return 0
    if (
        <PyObject*> owner != last.owner
        or <uintptr_t> view.buf < last.low
        or <uintptr_t> view.buf + <uintptr_t> view.len > last.high
    ):
        refuse_stale("array", array)
        last.owner = NULL
        if type(owner) is NDARRAY and owner.base is None:
            extent(owner, &last.low, &last.high)
            last.owner = <PyObject*> owner
    return 0


cdef bint hold_layers(arrays, bint weights, const Few* few, Py_buffer* views) except -1:
    """Hold the biases or the weights of all layers."""
    cdef const Layer* layer
    cdef Memory last = Memory(NULL, 0, 0)
    cdef Py_ssize_t l
    if type(arrays) is not list or len(<list> arrays) != few.last:
        return False
    for l in range(few.last):
        layer = few.layers + l + 1
        if not hold(
            (<list> arrays)[l], layer.fan_out, layer.fan_in if weights else 1, few.itemsize,
            views + l, &last,
        ):  # fmt: skip
            return False
    return True


cdef bint hold_parameters(biases, weights, const Few* few) except -1:
    """Hold biases and weights, where ``few`` has its buffers."""
    cdef Py_buffer* views = <Py_buffer*> few.held
    return hold_layers(biases, False, few, views) and hold_layers(
        weights, True, few, views + few.last
    )


cdef Few few_of(
    layout, Py_ssize_t itemsize, Py_ssize_t per_layer, Py_ssize_t more
) except *:
    """Return what kernels know of a network, with so many buffers for each layer and some more."""
    cdef Few few
    refuse_itemsize(itemsize)
    memset(&few, 0, sizeof(few))
    few.itemsize = itemsize
    few.layers = layers_of(layout, &few.last)
    few.held = <Py_buffer*> calloc(per_layer * few.last + more, sizeof(Py_buffer))
    if few.held == NULL:
        raise MemoryError
    return few


cdef bint is_short(const Few* few) noexcept:
    """Whether the work on these samples is too little to release the GIL for."""
    return few.n * n_params(few.layers, few.last) < SHORT


cdef int keep_all(value, list holds, int depth=3) except -1:
    """Keep every array in lists and tuples where it is; anything else is refused later.

    The deepest are a mini-batch's: in a pair, in the list of pairs, in the list of all.
    """
    if depth > 0 and (type(value) is list or type(value) is tuple):
        for item in value:
            keep_all(item, holds, depth - 1)
    else:
        keep(value, holds)
    return 0


cdef void release(const Few* few, Py_ssize_t per_layer, Py_ssize_t more) noexcept:
    cdef Py_ssize_t i
    for i in range(per_layer * few.last + more):
        PyBuffer_Release(<Py_buffer*> few.held + i)
    free(<void*> few.held)


cdef void* scratch_for(Few* few, Py_ssize_t units) except NULL:
    """Allocate scratch for the activations of so many samples; return what is to be freed."""
    cdef const Layer* last = few.layers + few.last
    cdef void* memory = malloc(units * (last.unit + last.width) * few.itemsize + LINE)
    if memory == NULL:
        raise MemoryError
    few.scratch = <void*> ((<uintptr_t> memory + LINE - 1) // LINE * LINE)
    return memory


def feedforward(
    layout,               # IN
    Py_ssize_t itemsize,  # IN   of the network's type
    biases,               # IN   anything, as are all below
    weights,              # IN
    x,                    # IN
    out,                  # OUT  (n_L, 1)
):
    """Compute the output activations of one sample; return whether all could be read."""
    cdef Few few = few_of(layout, itemsize, 2, 2)
    cdef Py_buffer* view = <Py_buffer*> few.held + 2 * few.last
    cdef Memory last = Memory(NULL, 0, 0)
    cdef void* memory = NULL
    cdef list holds = []
    cdef bint good
    few.x, few.n = view, 1
    try:
        if not is_short(&few):
            keep_all([biases, weights, x, out], holds)
        good = (
            hold_parameters(biases, weights, &few)
            and hold(x, few.layers[0].fan_out, 1, 0, view, &last)
            and hold(out, few.layers[few.last].fan_out, 1, itemsize, view + 1, &last)
        )
        if good:
            memory = scratch_for(&few, 1)
            if is_short(&few):
                good = kernels.few_forward(&few, view[1].buf)
            else:
                with nogil:
                    good = kernels.few_forward(&few, view[1].buf)
    finally:
        release(&few, 2, 2)
        free(memory)
    return good


def backprop(
    layout,               # IN
    Py_ssize_t itemsize,  # IN   of the network's type
    biases,               # IN   anything, as are all below
    weights,              # IN
    pairs,                # IN   list of (x, y)
    int cost,             # IN
    double scale,         # IN   of the gradient
    bint add,             # IN   whether to take a step, else the gradient is wanted
    double decay,         # IN   of the weights, in a step
    new_b,                # OUT  (n_l, 1) each
    new_w,                # OUT  (n_l, n_{l-1}) each
):
    """Compute the gradient summed over all pairs, or the parameters after a step by it.

    Return whether that is finite, None if not all could be read.
    """
    cdef Few few
    cdef Py_ssize_t n, n_in, n_out, i
    cdef Py_buffer* results
    cdef Py_buffer* view
    cdef Memory last_x = Memory(NULL, 0, 0), last_y = last_x
    cdef void* memory = NULL
    cdef list holds = []
    cdef bint good
    cdef int result = -1
    if type(pairs) is not list:
        return None
    n = len(<list> pairs)
    few = few_of(layout, itemsize, 4, 2 * n)
    n_in, n_out = few.layers[0].fan_out, few.layers[few.last].fan_out
    results = <Py_buffer*> few.held + 2 * few.last
    few.x = view = results + 2 * few.last
    few.stride, few.n = 2, n
    few.cost, few.scale, few.add, few.decay = cost, scale, add, decay
    try:
        if not is_short(&few):
            keep_all([biases, weights, pairs, new_b, new_w], holds)
            if len(<list> pairs) != n:  # a finaliser has changed them
                return None
        good = (
            hold_parameters(biases, weights, &few)
            and hold_layers(new_b, False, &few, results)
            and hold_layers(new_w, True, &few, results + few.last)
        )
        for i in range(n):
            if not good:
                break
            pair = (<list> pairs)[i]
            good = (
                type(pair) is tuple
                and len(<tuple> pair) == 2
                and hold((<tuple> pair)[0], n_in, 1, 0, view, &last_x)
                and hold((<tuple> pair)[1], n_out, 1, 0, view + 1, &last_y)
            )
            view += 2
        if good:
            memory = scratch_for(&few, 2 * n)
            if is_short(&few):
                result = kernels.few_gradient(&few)
            else:
                with nogil:
                    result = kernels.few_gradient(&few)
    finally:
        release(&few, 4, 2 * n)
        free(memory)
    return None if result < 0 else result == 1


def pack(
    layout,               # IN
    Py_ssize_t itemsize,  # IN   of the network's type
    biases,               # IN   anything; OUT if back
    weights,              # IN   anything; OUT if back
    block,                # OUT  aligned, of the layout; IN if back; or None
    bint back,            # IN   whether to copy from the block
    bint search,          # IN   whether to look for NaN and infinity
):
    """Copy biases and weights to the block, or back; without a block, only look at them.

    Return whether all could be read, and is finite if that is searched for.
    """
    cdef Few few
    cdef Py_ssize_t last
    cdef const Layer* layers = layers_of(layout, &last)
    cdef void* start = NULL
    cdef list holds = []
    cdef bint good
    if block is not None:
        start = address("block", block, itemsize, n_params(layers, last), not back)
    few = few_of(layout, itemsize, 2, 0)
    few.n = 1
    try:
        if not is_short(&few):
            keep_all([biases, weights], holds)
        good = hold_parameters(biases, weights, &few)
        if good and is_short(&few):
            good = look_and_copy(&few, search, back, start)
        elif good:
            with nogil:
                good = look_and_copy(&few, search, back, start)
    finally:
        release(&few, 2, 0)
    return good


cdef bint look_and_copy(const Few* few, bint search, bint back, void* start) noexcept nogil:
    """Do what ``pack`` does, with all in hand."""
    cdef Py_ssize_t i
    cdef bint good = True
    if search:
        for i in range(2 * few.last):
            good = good and kernels.finite(
                few.itemsize, few.held[i].len // few.itemsize, few.held[i].buf
            )
    if start != NULL:
        kernels.pack(few, back, start)
    return good


def columns(tuple values, Py_ssize_t start, Py_ssize_t size, Py_ssize_t itemsize, at, rows=None):
    """Write where the columns (size, 1) ``values[start:start + len(at)]`` lie.

    Copy them to ``rows``, if asked. Return whether all are readable, and of this type.
    """
    cdef Py_buffer target = look(at, sizeof(Py_ssize_t), True), view
    cdef Py_ssize_t i, n = length(&target)
    cdef char* copy = NULL
    cdef Memory last = Memory(NULL, 0, 0)
    if not 0 <= start <= len(values) - n:
        refuse_length("values", start + n, len(values))
    if rows is not None:
        copy = <char*> address("rows", rows, itemsize, n * size, True)
    for i in range(n):
        memset(&view, 0, sizeof(view))
        try:
            if not hold(values[start + i], size, 1, itemsize, &view, &last):
                return False
            (<Py_ssize_t*> target.buf)[i] = <Py_ssize_t> view.buf
            if copy != NULL:
                memcpy(copy + i * view.len, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    return True
