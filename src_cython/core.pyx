# The compiled core's entry points: functions of Python that look at buffers, keep their owners and
# enter the kernels. Compiled once; the arithmetic, kernels.pyx, is compiled for each SIMD level, and
# ``use`` says which is entered. Read in this order:
#
#   interface.pxd       how parameters, activations and errors lie; what the kernels are
#   this file           passes over blocks of samples, on the parameter block
#   gradient_doors.pxi  gradients of such passes, in all forms
#   public_arrays.pxi   one sample, or one mini-batch, on the public arrays, with a gate of its own
#   shuffling.pxi       apart from all that: the permutations of Python's `random`
#
# Values are the gate's business (fastbp/samples.py, parameters.py, shuffling.py). Where each buffer
# lies and how long it is, is looked at here, in the entry that uses it and together with all others:
# whatever code of the user's has done since the last entry, no kernel reads or writes outside.

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport PyObject
from libc.math cimport INFINITY
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset
from interface cimport *

from numpy import ndarray as numpys_ndarray

from fastbp.errors import text

cdef type NDARRAY = numpys_ndarray  # NumPy's headers are not needed

cdef extern from *:
    """
    /* Levels of this processor beyond the one that every one has. */
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    #define FASTBP_HAS(feature) (__builtin_cpu_supports(feature) != 0)
    static int fastbp_has_v3(void) {
        return FASTBP_HAS("avx2") && FASTBP_HAS("fma") && FASTBP_HAS("bmi") && FASTBP_HAS("bmi2");
    }
    static int fastbp_has_v4(void) {
        return fastbp_has_v3() && FASTBP_HAS("avx512f") && FASTBP_HAS("avx512bw")
            && FASTBP_HAS("avx512cd") && FASTBP_HAS("avx512dq") && FASTBP_HAS("avx512vl");
    }
    #else
    static int fastbp_has_v3(void) { return 0; }
    static int fastbp_has_v4(void) { return 0; }
    #endif
    """
    const char* INTERFACE "FASTBP_INTERFACE"
    bint has_v3 "fastbp_has_v3"() noexcept
    bint has_v4 "fastbp_has_v4"() noexcept

cdef extern from "threads.h" nogil:
    enum:
        FASTBP_TEAMS
        TEAM_LENGTH
    void abort_team "fastbp_abort"(Py_ssize_t*) noexcept

SUPPORTED = ("base",) + ("x86v3",) * has_v3() + ("x86v4",) * has_v4()
INPUT_BOUND = BOUND
ALIGNMENT = LINE
TEAM = TEAM_LENGTH if FASTBP_TEAMS else 0  # words; 0: this build computes with one thread
BLOCK_ROWS = BLOCK
LAYOUT_COLUMNS = Layer(0, 1, 2, 3, 4, 5)  # as a dict of names
ACTIVATIONS = {
    "linear": LINEAR,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "softplus": SOFTPLUS,
    "exponential": EXPONENTIAL,
    "softmax": SOFTMAX,
}
COSTS = {
    "quadratic": QUADRATIC,
    "cross_entropy": CROSS_ENTROPY,
    "log_likelihood": LOG_LIKELIHOOD,
    "poisson": POISSON,
}
LEAKAGE = LEAK
OPTIMIZERS = {
    "sgd": PLAIN,
    "momentum": MOMENTUM,
    "nesterov": NESTEROV,
    "rmsprop": RMSPROP,
    "adam": ADAM,
    "adamw": ADAMW,
}

cdef const Kernels* kernels = NULL


def use(table):
    """Enter the kernels of this table from now on; before, there are none to enter."""
    global kernels
    kernels = <const Kernels*> PyCapsule_GetPointer(table, INTERFACE)


# -- what enters ---------------------------------------------------------------------


cdef Py_buffer look(array, size_t itemsize, bint written=False) except *:
    """Return where an array lies, and how long it is.

    It is C-contiguous, of items of that size (0: of any) and, if it is to be written, may be. The
    caller keeps it alive. No memoryview: that class would be a third of this module.
    """
    cdef Py_buffer view
    memset(&view, 0, sizeof(view))
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if written else 0))
    PyBuffer_Release(&view)
    if itemsize and <size_t> view.itemsize != itemsize:
        raise TypeError(text("array", f"items of {itemsize} bytes", view.itemsize))
    return view


cdef int refuse_length(str where, Py_ssize_t expected, Py_ssize_t got) except -1:
    hint = "the network or its data was changed in the midst of a call"
    raise ValueError(text(where, f"{expected} numbers", got, hint))


cdef void* address(
    str where, array, size_t itemsize, Py_ssize_t n, bint written=False
) except NULL:
    """Return where an array of n numbers lies."""
    cdef Py_buffer view = look(array, itemsize, written)
    if view.len != n * view.itemsize:
        refuse_length(where, n, view.len // view.itemsize)
    return view.buf


cdef void* block_of(array, const Pass* run, bint written=False) except NULL:
    """Return where a block lies, laid out as the parameters."""
    return aligned(
        address("block", array, run.itemsize, n_params(run.layers, run.last), written)
    )


cdef void* aligned(void* start) except NULL:
    """Return an address at which a line of memory begins, as vectors must."""
    if <uintptr_t> start % LINE:
        raise ValueError(text("array", f"an address that {LINE} divides", <uintptr_t> start))
    return start


cdef int extent(array, uintptr_t* low, uintptr_t* high) except -1:
    """Find the first byte of an array's memory, and the one past its last."""
    cdef Py_buffer view
    cdef Py_ssize_t i, step
    try:
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    except (ValueError, BufferError):  # dates have no buffer
        low[0] = array.__array_interface__["data"][0]
        high[0] = low[0] + <uintptr_t> array.nbytes
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
    owner = array.base
    if not isinstance(owner, NDARRAY):
        return 0
    extent(array, &low, &high)
    while isinstance(owner, NDARRAY):
        extent(owner, &first, &last)
        if low < first or high > last:
            hint = "resize a copy"
            raise ValueError(text(where, "an array in its memory", "one whose owner was resized", hint))
        owner = owner.base
    return 0


cdef inline Py_ssize_t length(const Py_buffer* order) noexcept:
    """Return how many indices an array of these has."""
    return order.len // <Py_ssize_t> sizeof(Py_ssize_t)


cdef const Layer* layers_of(layout, Py_ssize_t* last) except NULL:
    """Return the rows of the layout table, and which is the last."""
    cdef Py_buffer view = look(layout, sizeof(Py_ssize_t))
    last[0] = view.len // <Py_ssize_t> sizeof(Layer) - 1
    if last[0] < 1 or view.len % <Py_ssize_t> sizeof(Layer):
        raise ValueError(text("layout", "a row for each of two layers or more", length(&view)))
    return <const Layer*> view.buf


cdef Inputs inputs_of(X, Py_ssize_t n_0) except *:
    """Return where samples lie, (n, n_0), of either type."""
    cdef Inputs inputs
    cdef Py_buffer view
    cdef bint good
    memset(&inputs, 0, sizeof(inputs))
    PyObject_GetBuffer(X, &view, PyBUF_C_CONTIGUOUS)
    good = view.ndim == 2 and view.shape[1] == n_0
    inputs.n_0, inputs.n = n_0, view.shape[0]
    PyBuffer_Release(&view)
    refuse_stale("X", X)
    if not good:
        raise ValueError(text("X", f"shape (n, {n_0})", X.shape))
    if view.itemsize == sizeof(float):
        inputs.floats = <const float*> view.buf
    elif view.itemsize == sizeof(double):
        inputs.doubles = <const double*> view.buf
    else:
        raise TypeError(text("X", "float32 or float64", f"items of {view.itemsize} bytes"))
    return inputs


cdef int order_of(order, Pass* run) except -1:
    """Note the order of samples; each is one of those there are."""
    cdef Py_buffer view = look(order, sizeof(Py_ssize_t))
    cdef Py_ssize_t i
    cdef bint good = True
    run.order, run.n = <const Py_ssize_t*> view.buf, length(&view)
    for i in range(run.n):
        good &= (0 <= run.order[i]) & (run.order[i] < run.inputs.n)
    if not good:
        raise ValueError(text("order", f"rows below {run.inputs.n}", "others"))
    return 0


cdef const void* targets_of(Y, const Pass* run) except NULL:
    """Return where targets lie, (n, n_L)."""
    cdef Py_ssize_t n = run.inputs.n * run.layers[run.last].fan_out
    cdef const void* start = address("Y", Y, run.itemsize, n)
    refuse_stale("Y", Y)
    return start


cdef Pass pass_of(
    params,
    layout,
    scratch,
    Py_ssize_t rows,
    X,
    Py_ssize_t kinds,  # of values of each layer that scratch has room for
    Py_ssize_t part=0,
    Py_ssize_t parts=1,
) except *:
    """Return what a kernel needs for outputs; the caller keeps all alive."""
    cdef Pass run
    cdef Py_buffer view
    cdef Py_ssize_t values, turned
    memset(&run, 0, sizeof(run))
    run.layers = layers_of(layout, &run.last)
    run.itemsize = look(params, 0).itemsize
    if run.itemsize != sizeof(float) and run.itemsize != sizeof(double):
        raise TypeError(text("params", "float32 or float64", f"items of {run.itemsize} bytes"))
    run.params = block_of(params, &run)
    if not (1 <= rows <= BLOCK and 0 <= part < parts):
        raise ValueError(text("rows", f"1 to {BLOCK}, and a part below {parts}", (rows, part)))
    values = kinds * rows * total_width(run.layers, run.last)
    turned = n_turned(run.layers, run.last, rows, parts, run.itemsize)
    view = look(scratch, run.itemsize, True)
    if view.len < (values + parts * turned) * run.itemsize:
        refuse_length("scratch", values + parts * turned, view.len // run.itemsize)
    run.scratch = aligned(view.buf)
    run.turned = <char*> run.scratch + (values + part * turned) * run.itemsize
    run.rows = rows
    run.inputs = inputs_of(X, run.layers[0].fan_out)
    run.scale = 1
    return run


def scratch_length(
    layout, Py_ssize_t itemsize, Py_ssize_t rows, Py_ssize_t kinds, Py_ssize_t parts
):
    """Return how many numbers scratch holds: of each layer so many kinds, for so many threads."""
    cdef Py_ssize_t last
    cdef const Layer* layers = layers_of(layout, &last)
    return kinds * rows * total_width(layers, last) + parts * n_turned(
        layers, last, rows, parts, itemsize
    )


# -- passes over blocks of samples -----------------------------------------------------


def forward(
    params,            # IN
    layout,            # IN
    scratch,           # WORK
    Py_ssize_t rows,   # IN   samples that scratch holds
    X,                 # IN   (n, n_0), float or double
    Py_ssize_t start,  # IN   first and
    Py_ssize_t stop,   # IN   past the last sample
    out,               # OUT  (n, n_L), rows start to stop
):
    """Compute the output activations of samples start to stop."""
    cdef Pass run = pass_of(params, layout, scratch, rows, X, 2)
    cdef Py_ssize_t n = run.inputs.n
    cdef void* target = address(
        "out", out, run.itemsize, n * run.layers[run.last].fan_out, True
    )
    if not 0 <= start <= stop <= n:
        raise ValueError(text("start", f"a range within {n} samples", (start, stop)))
    if start < stop:
        with nogil:
            kernels.forward(&run, start, stop, target)


@cython.final
@cython.auto_pickle(False)
cdef class Options:
    """What `train` does beyond plain steps.

    max_norm: of a sample's gradient; weights (.,) of the samples' costs, or None; optimizer: one
    of OPTIMIZERS; l1, l2: penalties of the weights; alpha: of a whole mini-batch; first, second,
    epsilon, hat: the optimizer's numbers; moments: one or two blocks, or None; rates: of
    dropout, by layer from the input on, or None; seed: of dropout; updates, drawn: steps and
    samples before this epoch; costs (n,) or None: OUT the cost of each sample in the order of the
    epoch, weighted and with penalties, so that their mean over a mini-batch is its cost.
    """

    cdef double max_norm
    cdef Rule rule
    cdef Dropout dropout
    cdef object weights, moments, rates, costs

    def __init__(
        self, double max_norm, weights, int optimizer, double l1, double l2, double alpha,
        double first, double second, double epsilon, bint hat, moments,
        rates, uint64_t seed, Py_ssize_t updates, uint64_t drawn, costs,
    ):  # fmt: skip
        self.max_norm = max_norm
        self.weights, self.moments, self.rates, self.costs = weights, moments, rates, costs
        self.rule = Rule(optimizer, l1, l2, alpha, first, second, epsilon, hat, NULL, updates)
        self.dropout = Dropout(NULL, seed, drawn)


cdef int add_options(Options options, Pass* run, Steps* steps) except -1:
    """Add what options say to a pass and its steps."""
    cdef int optimizer = options.rule.optimizer
    cdef Py_ssize_t blocks = 0 if optimizer == PLAIN else 2 if optimizer >= ADAM else 1
    steps.max_norm, steps.rule, steps.dropout = options.max_norm, options.rule, options.dropout
    if options.weights is not None:
        run.weights = address("sample_weight", options.weights, run.itemsize, run.inputs.n)
    if options.costs is not None:
        steps.costs = <double*> address("costs", options.costs, sizeof(double), run.n, True)
    if options.rates is not None:
        steps.dropout.rates = <const double*> address(
            "dropout", options.rates, sizeof(double), run.last + 1
        )
    if blocks:
        steps.rule.moments = address(
            "moments", options.moments, run.itemsize, blocks * n_params(run.layers, run.last), True
        )
    return 0


def train(
    params,                # IN/OUT  updated after each whole mini-batch
    grads,                 # IN/OUT  the steps so far of an unfinished one
    layout,                # IN
    scratch,               # WORK    with room to turn deltas in for each part
    Py_ssize_t rows,       # IN   samples that scratch holds
    X,                     # IN   (n, n_0), float or double
    Y,                     # IN   (n, n_L)
    order,                 # IN   the epoch: indices into X and Y
    Py_ssize_t position,   # IN   samples of the epoch already taken
    Py_ssize_t batch,      # IN   samples in a mini-batch
    int cost,              # IN
    double rate,           # IN   step per sample-mean gradient
    double decay,          # IN   factor on the weights at each update
    double seconds,        # IN   return at the first look at the clock after these
    Options options=None,  # IN   what goes beyond plain steps
    records=None,          # IN   of X, by `compress`, if they are to be read instead
    starts=None,           # IN   of these
    Py_ssize_t part=0,     # IN   which of the
    Py_ssize_t parts=1,    # IN   threads that call this at once, all alike
    team=None,             # WORK where these meet, zeros at first
):
    """Train on the epoch from ``position`` on; return the position reached.

    It is the end of the epoch, or earlier when ``seconds`` have passed. A call
    with the position returned goes on as if there had been no pause, also within
    a mini-batch, and with the same bits.
    """
    cdef Py_ssize_t kinds = 2 if options is None or options.rates is None else 4
    cdef Pass run = pass_of(params, layout, scratch, rows, X, kinds, part, parts)
    cdef Py_ssize_t n = run.inputs.n
    cdef Py_buffer view
    cdef Steps steps
    order_of(order, &run)
    if batch < 1 or position < 0:
        raise ValueError(text("batch", "samples, from a position on", (batch, position)))
    run.Y, run.cost = targets_of(Y, &run), cost
    if records is not None:
        run.inputs.starts = <const Py_ssize_t*> address("starts", starts, sizeof(Py_ssize_t), n + 1)
        view = look(records, 1)
        if view.len < run.inputs.starts[n] + LINE:  # a line behind the last may be read
            refuse_length("records", run.inputs.starts[n] + LINE, view.len)
        run.inputs.records = <const char*> view.buf
    memset(&steps, 0, sizeof(steps))
    steps.params = block_of(params, &run, True)
    steps.grads = block_of(grads, &run, True)
    steps.position, steps.batch = position, batch
    steps.rate, steps.decay, steps.seconds = rate, decay, seconds
    steps.part, steps.parts = part, parts
    if parts > 1:
        steps.team = <Py_ssize_t*> address("team", team, sizeof(Py_ssize_t), TEAM_LENGTH, True)
    steps.max_norm = INFINITY
    if options is not None:
        add_options(options, &run, &steps)
    with nogil:
        position = kernels.train(&run, &steps)
    return position


def compress(
    X,                 # IN   (n, n_0), float or double
    Py_ssize_t n_0,
    Py_ssize_t start,  # IN   first and
    Py_ssize_t stop,   # IN   past the last sample
    starts,            # OUT  of the samples' records, and of the end; IN of the first
    records,           # OUT
):
    """Write records of what of the samples is not 0; return of how many, as room ends."""
    cdef Inputs inputs = inputs_of(X, n_0)
    cdef Py_buffer view = look(records, 1, True)
    cdef Py_ssize_t* target = <Py_ssize_t*> address(
        "starts", starts, sizeof(Py_ssize_t), inputs.n + 1, True
    )
    cdef Py_ssize_t n
    if not (0 <= start <= stop <= inputs.n and 0 <= target[start] <= view.len):
        raise ValueError(text("start", f"a range within {inputs.n} samples", (start, stop)))
    with nogil:
        n = kernels.compress(inputs, start, stop, view.len, target, <char*> view.buf)
    return n


def abort(team):
    """Let those of the team that wait, or will, return: one of them never comes."""
    abort_team(<Py_ssize_t*> address("team", team, sizeof(Py_ssize_t), TEAM_LENGTH, True))


def all_finite(values):
    """Return whether no value is NaN or infinite."""
    cdef Py_buffer view = look(values, 0)
    cdef bint result
    refuse_stale("array", values)
    with nogil:
        result = kernels.finite(view.itemsize, view.len // view.itemsize, view.buf)
    return result


include "public_arrays.pxi"
include "gradient_doors.pxi"
include "shuffling.pxi"
