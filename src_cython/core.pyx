# The compiled core's doors: functions of Python's that look at buffers, hold them and enter the
# kernels. Compiled once; the arithmetic, kernels.pyx, is compiled for each SIMD level, and
# ``use`` says which is entered. Read in this order:
#
#   interface.pxd       how parameters, activations and errors lie; what the kernels are
#   this file           passes over blocks of samples, on the parameter block
#   gradient_doors.pxi  gradients of such passes, in all forms
#   public_arrays.pxi   one sample, or one mini-batch, on the public arrays, with a gate of its own
#   shuffling.pxi       apart from all that: the permutations of Python's `random`
#
# The doors of this file trust their arguments: the gate (fastbp/samples.py, parameters.py,
# shuffling.py) has looked at all, and holds them so that user code cannot change their shapes.

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
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset
from interface cimport *

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


cdef Py_buffer look(array, size_t itemsize, bint written=False) except *:
    """Return where an array lies, and how long it is; NULL for None.

    It is C-contiguous, of items of that size (0: of any) and, if it is to be written, may be. The
    caller keeps it alive. No memoryview: that class would be a third of this module.
    """
    cdef Py_buffer view
    memset(&view, 0, sizeof(view))
    if array is not None:
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if written else 0))
        PyBuffer_Release(&view)
        if itemsize and <size_t> view.itemsize != itemsize:
            raise TypeError("array: expected items of another size")
    return view


cdef void* address(array, size_t itemsize, bint written=False) except? NULL:
    return look(array, itemsize, written).buf


cdef Py_ssize_t length(const Py_buffer* order) noexcept:
    """Return how many indices an array of these has."""
    return order.len // <Py_ssize_t> sizeof(Py_ssize_t)


cdef const Layer* layers_of(layout, Py_ssize_t* last) except NULL:
    """Return the rows of the layout table, and which is the last."""
    cdef Py_buffer view = look(layout, sizeof(Py_ssize_t))
    last[0] = view.len // <Py_ssize_t> sizeof(Layer) - 1
    return <const Layer*> view.buf


cdef Inputs inputs_of(X, Py_ssize_t n_0) except *:
    cdef Inputs inputs
    cdef Py_buffer view = look(X, 0)
    memset(&inputs, 0, sizeof(inputs))
    inputs.n_0 = n_0
    if view.itemsize == sizeof(float):
        inputs.floats = <const float*> view.buf
    else:
        inputs.doubles = <const double*> view.buf
    return inputs


cdef Pass pass_of(params, layout, scratch, Py_ssize_t rows, X) except *:
    """Return what a kernel needs for outputs; the caller keeps all alive."""
    cdef Pass run
    cdef Py_buffer view = look(params, 0)
    memset(&run, 0, sizeof(run))
    run.itemsize, run.params = view.itemsize, view.buf
    run.layers = layers_of(layout, &run.last)
    run.scratch, run.rows = address(scratch, run.itemsize, True), rows
    run.inputs = inputs_of(X, run.layers[0].fan_out)
    run.scale = 1
    return run


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
    cdef Pass run = pass_of(params, layout, scratch, rows, X)
    cdef void* target = address(out, run.itemsize, True)
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
    samples before this epoch; costs (n,): where each sample's cost goes, in the order of the
    epoch, or None.
    """

    cdef double max_norm
    cdef double* costs
    cdef const void* weights
    cdef Rule rule
    cdef Dropout dropout
    cdef object held  # what the addresses are of

    def __init__(
        self, double max_norm, weights, int optimizer, double l1, double l2, double alpha,
        double first, double second, double epsilon, bint hat, moments,
        rates, uint64_t seed, Py_ssize_t updates, uint64_t drawn, costs,
    ):  # fmt: skip
        self.held = (weights, moments, rates, costs)
        self.max_norm = max_norm
        self.costs = <double*> address(costs, sizeof(double), True)
        self.weights = address(weights, 0)
        cdef void* blocks = address(moments, 0, True)
        self.rule = Rule(
            optimizer, l1, l2, alpha, first, second, epsilon, hat, blocks, updates
        )
        self.dropout = Dropout(<const double*> address(rates, sizeof(double)), seed, drawn)


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
    cdef Pass run = pass_of(params, layout, scratch, rows, X)
    cdef const Layer* last = run.layers + run.last
    cdef Py_ssize_t kinds = 2 if options is None or options.dropout.rates == NULL else 4
    cdef Py_ssize_t turning = kinds * rows * (last.unit + last.width)
    cdef Py_ssize_t room = look(scratch, 0).len // run.itemsize - turning
    cdef Py_buffer view = look(order, sizeof(Py_ssize_t))
    cdef Steps steps
    run.order, run.n = <const Py_ssize_t*> view.buf, length(&view)
    view = look(starts, sizeof(Py_ssize_t))
    run.inputs.starts, run.inputs.n = <const Py_ssize_t*> view.buf, length(&view) - 1
    run.inputs.records = <const char*> address(records, 1)
    run.Y, run.cost = address(Y, run.itemsize), cost
    run.turned = <char*> run.scratch + (turning + part * (room // parts)) * run.itemsize
    memset(&steps, 0, sizeof(steps))
    steps.params = address(params, run.itemsize, True)
    steps.grads = address(grads, run.itemsize, True)
    steps.position, steps.batch = position, batch
    steps.rate, steps.decay, steps.seconds = rate, decay, seconds
    steps.part, steps.parts = part, parts
    steps.team = <Py_ssize_t*> address(team, sizeof(Py_ssize_t), True)
    steps.max_norm = INFINITY
    if options is not None:
        steps.max_norm, run.weights = options.max_norm, options.weights
        steps.costs = options.costs
        steps.rule, steps.dropout = options.rule, options.dropout
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
    cdef Py_ssize_t* target = <Py_ssize_t*> address(starts, sizeof(Py_ssize_t), True)
    cdef Py_ssize_t n
    with nogil:
        n = kernels.compress(inputs, start, stop, view.len, target, <char*> view.buf)
    return n


def abort(team):
    """Let those of the team that wait, or will, return: one of them never comes."""
    abort_team(<Py_ssize_t*> address(team, sizeof(Py_ssize_t), True))


def all_finite(values):
    """Return whether no value is NaN or infinite."""
    cdef Py_buffer view = look(values, 0)
    cdef bint result
    with nogil:
        result = kernels.finite(view.itemsize, view.len // view.itemsize, view.buf)
    return result


include "public_arrays.pxi"
include "gradient_doors.pxi"
include "shuffling.pxi"
