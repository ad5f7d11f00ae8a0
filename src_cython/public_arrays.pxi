# Samples one at a time, or in one mini-batch, on the public arrays as they are: the algorithm of
# chapter 2 without a parameter block. BP1 to BP4 are here for the book's layout, weights
# (n_out, n_in), and once more for blocks of samples (backprop.pxi).
#
# The entry points have a gate of their own: an exact list of exact ndarrays, of the network's type,
# C-contiguous and aligned, of the shapes of the layout table, samples finite. That is nearly always
# so, and nothing of it runs code of the user's. At anything else they say so, with outputs that
# mean nothing, and the Python gate takes over, to convert the rest or to say what is wrong.

cdef extern from "Python.h":
    bint PyGC_Disable() noexcept
    bint PyGC_Enable() noexcept

cdef enum:
    # Multiply-adds, some 20 microseconds. For less the GIL is kept and no garbage collected, which
    # could run a finaliser of the user's: all stays in its place, and nothing need be held.
    SHORT = 1 << 18


cdef bint is_short(Layers layers, Py_ssize_t n) noexcept:
    """Whether the work on n samples is too little to release the GIL for."""
    return n * layers.n_params < SHORT


cdef object snapshot(arrays):
    """Return a list that no other thread changes, of the same items; anything else as it is."""
    return (<list> arrays)[:] if type(arrays) is list else arrays


# -- the columns of samples ------------------------------------------------------------


cdef struct Memory:
    PyObject* owner  # the array whose memory was looked at last; NULL: none yet
    uintptr_t low
    uintptr_t high


cdef bint get_array(
    array, Py_ssize_t n, Py_ssize_t m, Py_ssize_t itemsize, int flags, Py_buffer* view, Memory* last
) except -1:
    """Get the buffer of an array (n, m) of native floats, of either type if itemsize is 0.

    A Py_buffer, not a memoryview: `backprop` of a 2-3-1 network, 4 us, has 13 of them, which took
    2.6 us more; a mini-batch has two for each sample, of types that differ.
    """
    if type(array) is not NDARRAY:
        return False
    try:
        PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags)
    except Exception:  # not contiguous, read-only, or of a type that no buffer has
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


cdef bint copy_column(
    array, Py_ssize_t n, real[:, ::1] rows, Py_ssize_t s, Py_ssize_t at, Memory* last
) except -1:
    """Copy a column (n, 1) to row s of the workspace; return whether it is readable and finite."""
    cdef Py_buffer view
    cdef const float* floats
    cdef const double* doubles
    cdef Py_ssize_t k
    cdef bint good
    memset(&view, 0, sizeof(view))
    try:
        if not get_array(array, n, 1, 0, 0, &view, last):
            return False
        if view.itemsize == sizeof(float):
            floats = <const float*> view.buf
            good = finite(n, floats)
            for k in range(n):
                rows[s, at + k] = floats[k]
        else:
            doubles = <const double*> view.buf
            good = finite(n, doubles)
            for k in range(n):
                if real is float:
                    rows[s, at + k] = <real> max(min(doubles[k], BOUND), -BOUND)
                else:
                    rows[s, at + k] = doubles[k]
    finally:
        PyBuffer_Release(&view)
    return good


# -- the parameters of a layer ---------------------------------------------------------


cdef void* matrix(
    arrays, const Layer[::1] layers, Py_ssize_t l, bint bias, Py_ssize_t itemsize, int flags
) except? NULL:
    """Return the address of layer l's weights (n_l, n_{l-1}) or biases (n_l, 1).

    NULL: they are not readable. The address is valid as long as the list is what it is.
    """
    cdef Py_buffer view
    cdef Memory last = Memory(NULL, 0, 0)
    cdef bint good
    if type(arrays) is not list or len(<list> arrays) != layers.shape[0] - 1:
        return NULL
    memset(&view, 0, sizeof(view))
    good = get_array(
        (<list> arrays)[l - 1], layers[l].fan_out, 1 if bias else layers[l].fan_in, itemsize, flags,
        &view, &last,
    )  # fmt: skip
    cdef void* start = view.buf
    PyBuffer_Release(&view)
    return start if good else NULL


# -- forward and backward --------------------------------------------------------------


cdef bint forward_samples(
    const Layer[::1] layers,
    biases,
    weights,
    real[:, ::1] a,   # IN/OUT  the inputs; then the activations of every layer
    bint short,
) except -1:
    """Compute the activations of every layer: z = W a + b; return whether all could be read."""
    cdef const real* b
    cdef const real* w
    cdef Py_ssize_t l
    for l in range(1, layers.shape[0]):
        b = <const real*> matrix(biases, layers, l, True, sizeof(real), 0)
        w = <const real*> matrix(weights, layers, l, False, sizeof(real), 0)
        if b == NULL or w == NULL:
            return False
        if short:
            forward_sample_layer(&layers[l], b, w, a, layers[l - 1].activation_offset)
        else:
            with nogil:
                forward_sample_layer(&layers[l], b, w, a, layers[l - 1].activation_offset)
    return True


cdef void forward_sample_layer(
    const Layer* layer,
    const real* b,   # (n_l,)
    const real* w,   # (n_l, n_{l-1})
    real[:, ::1] a,
    Py_ssize_t inputs,
) noexcept nogil:
    """Compute a_l = activation(W a_{l-1} + b) of all rows of the workspace."""
    cdef fastbp_mode mode = flush_subnormals()
    cdef Py_ssize_t outputs = layer.activation_offset
    if real is float:
        dots_float(
            layer.fan_out, a.shape[0], layer.fan_in, w, &a[0, inputs], a.shape[1], b,
            &a[0, outputs], a.shape[1],
        )  # fmt: skip
    else:
        dots_double(
            layer.fan_out, a.shape[0], layer.fan_in, w, &a[0, inputs], a.shape[1], b,
            &a[0, outputs], a.shape[1],
        )  # fmt: skip
    activate(layer, a.shape[0], &a[0, outputs], a.shape[1])
    restore(mode)


cdef int backward_samples(
    const Layer[::1] layers,
    biases,
    weights,
    const real[:, ::1] a,   # IN      activations
    real[:, ::1] delta,     # IN/OUT  targets in the columns of the last layer; then all errors
    int cost,
    double scale,           # IN      of the gradient
    bint add,               # IN      whether to take a step, else the gradient is wanted
    double weight_factor,   # IN      of the weights, in a step
    new_b,                  # OUT
    new_w,                  # OUT
    bint short,
) except -2:
    """Compute the summed gradient, or the parameters after a step by it, from the activations.

    Return whether that is finite; -1 if not all could be read.
    """
    cdef const real* b
    cdef const real* w
    cdef real* out_b
    cdef real* out_w
    cdef Py_ssize_t l, last = layers.shape[0] - 1, at = layers[last].activation_offset
    cdef bint good = True
    output_error(  # BP1
        cost, &layers[last], a.shape[0], &a[0, at], a.shape[1], <real> scale, &delta[0, at],
        delta.shape[1],
    )  # fmt: skip
    for l in range(last, 0, -1):
        b = <const real*> matrix(biases, layers, l, True, sizeof(real), 0)
        w = <const real*> matrix(weights, layers, l, False, sizeof(real), 0)
        out_b = <real*> matrix(new_b, layers, l, True, sizeof(real), PyBUF_WRITABLE)
        out_w = <real*> matrix(new_w, layers, l, False, sizeof(real), PyBUF_WRITABLE)
        if b == NULL or w == NULL or out_b == NULL or out_w == NULL:
            return -1
        if short:
            good &= backward_sample_layer(
                layers, l, b, w, a, delta, add, <real> weight_factor, out_b, out_w
            )
        else:
            with nogil:
                good &= backward_sample_layer(
                    layers, l, b, w, a, delta, add, <real> weight_factor, out_b, out_w
                )
    return good


cdef bint backward_sample_layer(
    const Layer[::1] layers,
    Py_ssize_t l,
    const real* b,         # IN   (n_l,)
    const real* w,         # IN   (n_l, n_{l-1})
    const real[:, ::1] a,
    real[:, ::1] delta,    # IN   columns of layer l; OUT of layer l - 1
    bint add,
    real weight_factor,
    real* out_b,           # OUT  (n_l,)
    real* out_w,           # OUT  (n_l, n_{l-1})
) noexcept nogil:
    """Compute the gradient of a layer, or its step, and the errors below; whether all is finite."""
    cdef fastbp_mode mode = flush_subnormals()
    cdef const Layer* layer = &layers[l]
    cdef const Layer* below = &layers[l - 1]
    cdef Py_ssize_t s, j, n = a.shape[0]
    cdef Py_ssize_t outputs = layer.activation_offset, inputs = below.activation_offset
    cdef real bad = 0
    for j in range(layer.fan_out):
        out_b[j] = 0
    for s in range(n):
        for j in range(layer.fan_out):
            out_b[j] += delta[s, outputs + j]  # dC/db = sum of delta (BP3)
    for j in range(layer.fan_out):
        if add:
            out_b[j] += b[j]
        bad += 0 * out_b[j]
    bad += combine(  # dC/dW = delta^T a (BP4)
        layer.fan_out, layer.fan_in, n, <const real*> &delta[0, outputs], 1, delta.shape[1],
        &a[0, inputs], a.shape[1], w if add else NULL, weight_factor, out_w,
        layer.fan_in,
    )  # fmt: skip
    if l > 1:
        combine(  # delta_{l-1} = (delta W) * slope (BP2)
            n, layer.fan_in, layer.fan_out, <const real*> &delta[0, outputs], delta.shape[1], 1,
            w, layer.fan_in, <const real*> NULL, <real> 0, &delta[0, inputs], delta.shape[1],
        )  # fmt: skip
        for s in range(n):
            clear(below.width - below.fan_out, &delta[s, inputs + below.fan_out])
        multiply_by_slope(
            below, n, &a[0, inputs], a.shape[1], &delta[0, inputs], delta.shape[1]
        )
    restore(mode)
    return bad == 0


cdef inline real combine(
    Py_ssize_t n_rows, Py_ssize_t n, Py_ssize_t n_terms,
    const real* X, Py_ssize_t x_row, Py_ssize_t x_term, const real* Y, Py_ssize_t y_row,
    const real* B, real scale, real* C, Py_ssize_t c_row,
) noexcept nogil:  # fmt: skip
    """Compute C = scale B + X Y for any columns; return 0 if that is finite, else NaN."""
    if real is float:
        return combine_float(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )
    else:
        return combine_double(
            n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row
        )


# -- entry points ----------------------------------------------------------------------


def feedforward(
    Layers layers not None,  # IN
    real[:, :, ::1] workspace not None,  # WORK  (1, 1, .): a row
    biases,                  # IN    anything, as are all below
    weights,                 # IN
    x,                       # IN
    real[:, ::1] out not None,  # OUT  (n_L, 1)
):
    """Compute the output activations of one sample; return whether all could be read."""
    cdef const Layer[::1] table = layers.table
    cdef Py_ssize_t j, at = table[table.shape[0] - 1].activation_offset
    cdef bint short = is_short(layers, 1), collected
    cdef Memory last = Memory(NULL, 0, 0)
    cdef list held = []
    cdef real[:, ::1] a
    check_length("workspace: buffers", 1, workspace.shape[0])
    check_length("workspace", layers.row_width, workspace.shape[2])
    a = workspace[0]
    if not short:
        biases, weights = snapshot(biases), snapshot(weights)
        hold_all([biases, weights, x], held)
    if a.shape[0] != 1 or out.shape[0] != table[table.shape[0] - 1].fan_out or out.shape[1] != 1:
        got = out.shape[0], out.shape[1]
        raise ValueError(error_message("out", "a column of the outputs", got))
    collected = short and PyGC_Disable()
    try:
        if not (
            copy_column(x, table[0].fan_out, a, 0, 0, &last)
            and forward_samples(table, biases, weights, a, short)
        ):
            return False
    finally:
        if collected:
            PyGC_Enable()
    for j in range(out.shape[0]):
        out[j, 0] = a[0, at + j]
    return True


def backprop(
    Layers layers not None,  # IN
    real[:, :, ::1] workspace not None,  # WORK  (2, n, .): a row for each pair
    biases,                  # IN    anything, as are all below
    weights,                 # IN
    pairs,                   # IN    list of (x, y)
    int cost,                # IN
    double scale,            # IN    of the gradient
    bint add,                # IN    whether to take a step, else the gradient is wanted
    double weight_factor,    # IN    of the weights, in a step
    new_b,                   # OUT   (n_l, 1) each
    new_w,                   # OUT   (n_l, n_{l-1}) each
):
    """Compute the gradient summed over all pairs, or the parameters after a step by it.

    Return whether that is finite, None if not all could be read.
    """
    cdef const Layer[::1] table = layers.table
    cdef Py_ssize_t s, n, n_in = table[0].fan_out, n_out = table[table.shape[0] - 1].fan_out
    cdef Py_ssize_t at = table[table.shape[0] - 1].activation_offset
    cdef Memory last_x = Memory(NULL, 0, 0), last_y = last_x
    cdef real[:, ::1] a, delta
    cdef list held = []
    cdef bint short, collected
    cdef int result
    if type(pairs) is not list:
        return None
    n = len(<list> pairs)
    check_length("workspace", layers.row_width, workspace.shape[2])
    if workspace.shape[0] != 2 or workspace.shape[1] != n:
        wrong_length("workspace", n, workspace.shape[1])
    a, delta = workspace[0], workspace[1]
    short = is_short(layers, n)
    if not short:
        biases, weights, pairs = snapshot(biases), snapshot(weights), snapshot(pairs)
        hold_all([biases, weights, pairs, new_b, new_w], held)
    collected = short and PyGC_Disable()
    try:
        for s in range(n):
            if len(<list> pairs) != n:  # a finaliser has changed them
                return None
            pair = (<list> pairs)[s]
            if not (
                type(pair) is tuple
                and len(<tuple> pair) == 2
                and copy_column((<tuple> pair)[0], n_in, a, s, 0, &last_x)
                and copy_column((<tuple> pair)[1], n_out, delta, s, at, &last_y)
            ):
                return None
        if not forward_samples(table, biases, weights, a, short):
            return None
        result = backward_samples(
            table, biases, weights, a, delta, cost, scale, add, weight_factor, new_b, new_w, short
        )
    finally:
        if collected:
            PyGC_Enable()
    return None if result < 0 else result == 1


def pack(
    Layers layers not None,    # IN
    biases,                    # IN   anything
    weights,                   # IN   anything
    real[::1] block not None,  # OUT  laid out as the parameters
):
    """Copy biases and weights to a parameter block; return whether all could be read."""
    cdef const real* b
    cdef const real* w
    cdef list held = []
    cdef Py_ssize_t l
    cdef bint short = is_short(layers, 1), collected
    if block.shape[0] != layers.n_params:
        wrong_length("block", layers.n_params, block.shape[0])
    if not short:
        biases, weights = snapshot(biases), snapshot(weights)
        hold_all([biases, weights], held)
    collected = short and PyGC_Disable()
    try:
        for l in range(1, layers.table.shape[0]):
            b = <const real*> matrix(biases, layers.table, l, True, sizeof(real), 0)
            w = <const real*> matrix(weights, layers.table, l, False, sizeof(real), 0)
            if b == NULL or w == NULL:
                return False
            if short:
                pack_layer(&layers.table[l], b, w, block)
            else:
                with nogil:
                    pack_layer(&layers.table[l], b, w, block)
    finally:
        if collected:
            PyGC_Enable()
    return True


cdef void pack_layer(
    const Layer* layer, const real* b, const real* w, real[::1] block
) noexcept nogil:
    """Copy a layer to its matrix in the block, transposed, and zeros to the padding."""
    cdef real* W = &block[layer.offset]
    cdef Py_ssize_t k
    transpose(layer.fan_out, layer.fan_in, w, layer.fan_in, W, layer.width)
    copy(layer.fan_out, b, W + layer.fan_in * layer.width)
    for k in range(layer.fan_in + 1):
        clear(layer.width - layer.fan_out, W + k * layer.width + layer.fan_out)


def unpack(
    Layers layers not None,          # IN
    const real[::1] block not None,  # IN
    biases,                          # OUT
    weights,                         # OUT
):
    """Copy a parameter block to biases and weights; return whether all could be written."""
    cdef real* b
    cdef real* w
    cdef const real* W
    cdef Py_ssize_t l
    cdef const Layer* layer
    cdef list held = []
    if block.shape[0] != layers.n_params:
        wrong_length("block", layers.n_params, block.shape[0])
    hold_all([biases, weights], held)
    for l in range(1, layers.table.shape[0]):
        layer = &layers.table[l]
        W = &block[layer.offset]
        b = <real*> matrix(biases, layers.table, l, True, sizeof(real), PyBUF_WRITABLE)
        w = <real*> matrix(weights, layers.table, l, False, sizeof(real), PyBUF_WRITABLE)
        if b == NULL or w == NULL:
            return False
        with nogil:
            transpose(layer.fan_in, layer.fan_out, W, layer.width, w, layer.fan_in)
            copy(layer.fan_out, W + layer.fan_in * layer.width, b)
    return True


def are_parameters(
    Layers layers not None,  # IN
    Py_ssize_t itemsize,     # IN
    biases,                  # IN   anything
    weights,                 # IN   anything
    bint search,             # IN   whether to look for NaN and infinity
):
    """Return whether these are biases and weights that the core can read, and finite if asked."""
    cdef list held = []
    cdef bint short = is_short(layers, 1), collected
    check_itemsize(itemsize)
    if not short:
        biases, weights = snapshot(biases), snapshot(weights)
        hold_all([biases, weights], held)
    collected = short and PyGC_Disable()
    try:
        if itemsize == sizeof(float):
            return fit_layers(layers.table, biases, weights, search, short, <float*> NULL)
        return fit_layers(layers.table, biases, weights, search, short, <double*> NULL)
    finally:
        if collected:
            PyGC_Enable()


cdef bint fit_layers(
    const Layer[::1] layers, biases, weights, bint search, bint short, real* kind
) except -1:
    cdef const real* b
    cdef const real* w
    cdef Py_ssize_t l
    cdef bint good = True
    for l in range(1, layers.shape[0]):
        b = <const real*> matrix(biases, layers, l, True, sizeof(real), 0)
        w = <const real*> matrix(weights, layers, l, False, sizeof(real), 0)
        if b == NULL or w == NULL:
            return False
        if search and short:
            good = finite_layer(&layers[l], b, w)
        elif search:
            with nogil:
                good = finite_layer(&layers[l], b, w)
        if not good:
            return False
    return True


cdef bint finite_layer(const Layer* layer, const real* b, const real* w) noexcept nogil:
    return finite(layer.fan_out, b) and finite(layer.fan_out * layer.fan_in, w)


def columns(
    tuple values not None,          # IN
    Py_ssize_t start,               # IN
    Py_ssize_t size,                # IN
    Py_ssize_t itemsize,            # IN
    Py_ssize_t[::1] at not None,    # OUT
    rows=None,                      # OUT  (len(at), size), or None
):
    """Write where the columns (size, 1) ``values[start:start + len(at)]`` lie.

    Copy them to ``rows``, if asked. Return whether all are readable, and of this type.
    """
    cdef Py_buffer view
    cdef Py_ssize_t i, n = at.shape[0]
    cdef uint8_t[:, ::1] copies = None
    cdef Memory last = Memory(NULL, 0, 0)
    if not 0 <= start <= len(values) - n:
        wrong_length("values", start + n, len(values))
    if rows is not None:
        copies = rows.view("u1")
        if copies.shape[0] != n or copies.shape[1] != size * itemsize:
            wrong_length("rows", n * size, copies.shape[0] * copies.shape[1] // max(itemsize, 1))
    for i in range(n):
        memset(&view, 0, sizeof(view))
        try:
            if not get_array(values[start + i], size, 1, itemsize, 0, &view, &last):
                return False
            at[i] = <Py_ssize_t> view.buf
            if copies is not None:
                memcpy(&copies[i, 0], view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    return True
