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
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from cpython.ref cimport PyObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport INFINITY
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset
from interface cimport *

from array import array as pythons_array
from mmap import mmap

from numpy import empty
from numpy import ndarray as numpys_ndarray
from numpy.lib.stride_tricks import as_strided

from fastbp.errors import text

cdef type NDARRAY = numpys_ndarray  # NumPy's headers are not needed
# What an array says of itself, past what a user's class has by the same name.
cdef object base = NDARRAY.base.__get__
cdef object as_ndarray = NDARRAY.view
# Whose memory an array may be of, and how to ask these where it lies.
cdef tuple EXPORTERS = (bytearray, pythons_array, mmap)
cdef type STRIDED = type(as_strided(empty(1)).base)

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
    bint meet "fastbp_meet"(Py_ssize_t*, Py_ssize_t parts) noexcept
    void abort "fastbp_abort"(Py_ssize_t*) noexcept

SUPPORTED = ("base",) + ("x86v3",) * has_v3() + ("x86v4",) * has_v4()
INPUT_BOUND = BOUND
ALIGNMENT = LINE
TEAMS = bool(FASTBP_TEAMS)  # whether this build computes with several threads
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


cdef int refuse_itemsize(Py_ssize_t itemsize) except -1:
    """Refuse a network of another type than float32 or float64."""
    if itemsize != sizeof(float) and itemsize != sizeof(double):
        raise TypeError(text("dtype", "float32 or float64", f"items of {itemsize} bytes"))
    return 0


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


cdef bint is_array(value) noexcept:
    """Whether it is an ndarray, or of a class derived; no code of the user's runs."""
    return PyObject_TypeCheck(value, <PyTypeObject*> NDARRAY)


cdef int extent(owner, uintptr_t* low, uintptr_t* high) except -1:
    """Find the first byte of an object's memory, and the one past its last."""
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


cdef object owner_of(array):
    """Return whose memory an array's is, or None; no code of the user's runs."""
    if type(array) is NDARRAY:
        return array.base
    if is_array(array):
        return base(array)
    if type(array) is memoryview:
        return array.obj
    return array.base if type(array) is STRIDED else None


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
                hint = "resize a copy"
                raise ValueError(
                    text(where, "an array in its memory", "one whose owner was resized", hint)
                )
        owner = owner_of(owner)
    return 0


cdef int keep(array, list holds) except -1:
    """Add to ``holds`` what keeps the memory of an array where it is, as long as the list lives.

    NumPy resizes no array that has a weak reference, whatever ``refcheck`` is, and what exports
    its memory lets nobody resize it. So no other thread does while a kernel reads it. An entry
    keeps all arrays before it looks at the first: what is allocated here may set off a collection
    of garbage, and so a finaliser of the user's.
    """
    while array is not None:
        if is_array(array):
            holds.append(PyWeakref_NewRef(array, None))
        elif type(array) in EXPORTERS:
            try:
                holds.append(PyMemoryView_FromObject(array))
            except (ValueError, BufferError):  # a file that was closed: refused when looked at
                pass
        array = owner_of(array)
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
    refuse_stale("X", X)
    PyObject_GetBuffer(X, &view, PyBUF_C_CONTIGUOUS)
    good = view.ndim == 2 and view.shape[1] == n_0
    inputs.n_0, inputs.n = n_0, view.shape[0]
    PyBuffer_Release(&view)
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
    refuse_stale("Y", Y)
    return address("Y", Y, run.itemsize, run.inputs.n * run.layers[run.last].fan_out)


cdef const void* weights_of(weights, const Pass* run) except NULL:
    """Return where the weights of samples lie, (n,)."""
    refuse_stale("sample_weight", weights)
    return address("sample_weight", weights, run.itemsize, run.inputs.n)


cdef Pass pass_of(
    params,
    layout,
    scratch,
    Py_ssize_t rows,
    X,
    Py_ssize_t kinds,  # of values of each layer that scratch has room for
    Py_ssize_t parts=1,
) except *:
    """Return what a kernel needs for outputs, as the first part; the caller keeps all alive."""
    cdef Pass run
    cdef Py_buffer view
    cdef Py_ssize_t values, turned
    memset(&run, 0, sizeof(run))
    run.layers = layers_of(layout, &run.last)
    run.itemsize = look(params, 0).itemsize
    refuse_itemsize(run.itemsize)
    run.params = block_of(params, &run)
    if not (1 <= rows <= BLOCK and parts >= 1):
        raise ValueError(text("rows", f"1 to {BLOCK}, and parts from 1 on", (rows, parts)))
    values = kinds * rows * total_width(run.layers, run.last)
    turned = n_turned(run.layers, run.last, rows, parts, run.itemsize)
    view = look(scratch, run.itemsize, True)
    if view.len < (values + parts * turned) * run.itemsize:
        refuse_length("scratch", values + parts * turned, view.len // run.itemsize)
    run.scratch = aligned(view.buf)
    run.turned = <char*> run.scratch + values * run.itemsize
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
    refuse_itemsize(itemsize)
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
    cdef list holds = []
    keep(X, holds)
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
        run.weights = weights_of(options.weights, run)
    if options.costs is not None:
        # A replay takes the epoch up to a mini-batch: fewer samples than there are.
        if run.n > run.inputs.n:
            refuse_length("order", run.inputs.n, run.n)
        steps.costs = <double*> address("costs", options.costs, sizeof(double), run.inputs.n, True)
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
    Team team=None,        # IN   of which this thread is part 0; the others follow
):
    """Train on the epoch from ``position`` on; return the position reached.

    It is the end of the epoch, or earlier when ``seconds`` have passed. A call
    with the position returned goes on as if there had been no pause, also within
    a mini-batch, and with the same bits.
    """
    cdef list holds = []
    keep(X, holds)
    keep(Y, holds)
    if options is not None:
        keep(options.weights, holds)
    cdef Py_ssize_t parts = 1 if team is None else team.parts
    cdef Py_ssize_t kinds = 2 if options is None or options.rates is None else 4
    cdef Pass run = pass_of(params, layout, scratch, rows, X, kinds, parts)
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
    steps.part, steps.parts = 0, parts
    steps.max_norm = INFINITY
    if options is not None:
        add_options(options, &run, &steps)
    if team is not None:
        steps.team = team.words
        team.run, team.steps = run, steps
    with nogil:
        if parts == 1 or meet(steps.team, parts):
            position = kernels.train(&run, &steps)
    return position


@cython.final
@cython.auto_pickle(False)
cdef class Team:
    """Threads that take their parts of each mini-batch at once.

    Part 0 calls ``train``, the others ``follow``. These look at nothing themselves: they wait for
    part 0, and read what it has looked at. From then on it is in the core, where no signal handler
    runs, until all have left.
    """

    cdef Py_ssize_t[TEAM_LENGTH] words  # where they meet
    cdef Py_ssize_t parts
    cdef Pass run  # part 0's
    cdef Steps steps

    def __init__(self, Py_ssize_t parts):
        if not FASTBP_TEAMS or parts < 2:
            raise ValueError(text("parts", "two threads or more, of a build that has them", parts))
        memset(self.words, 0, sizeof(self.words))
        self.parts = parts

    def follow(self, Py_ssize_t part):
        """Take this part of what part 0 trains; return when that does."""
        cdef Pass run
        cdef Steps steps
        cdef Py_ssize_t turned
        if not 0 < part < self.parts:
            raise ValueError(text("part", f"1 to {self.parts - 1}", part))
        with nogil:
            if meet(self.words, self.parts):
                run, steps = self.run, self.steps
                turned = n_turned(run.layers, run.last, run.rows, self.parts, run.itemsize)
                run.turned = <char*> run.turned + part * turned * run.itemsize
                steps.part = part
                kernels.train(&run, &steps)

    def abort(self):
        """Let those that wait, or will, return: one never comes."""
        abort(self.words)


def compress(
    X,                 # IN   (n, n_0), float or double
    Py_ssize_t n_0,
    Py_ssize_t start,  # IN   first and
    Py_ssize_t stop,   # IN   past the last sample
    starts,            # OUT  of the samples' records, and of the end; IN of the first
    records,           # OUT
):
    """Write records of what of the samples is not 0; return of how many, as room ends."""
    cdef list holds = []
    keep(X, holds)
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


def all_finite(values):
    """Return whether no value is NaN or infinite."""
    cdef list holds = []
    cdef Py_buffer view
    cdef bint result
    keep(values, holds)
    refuse_stale("array", values)
    view = look(values, 0)
    with nogil:
        result = kernels.finite(view.itemsize, view.len // view.itemsize, view.buf)
    return result


include "public_arrays.pxi"
include "gradient_doors.pxi"
include "shuffling.pxi"
