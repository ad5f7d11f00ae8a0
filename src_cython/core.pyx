# The compiled core of fastbp: arithmetic on buffers that the Python side has
# checked, allocated and laid out. Read in this order:
#
#   simd.h          the kernels that must fill the vector units: multiply, sigmoid and others
#   threads.h       how threads that share a mini-batch wait for each other
#   functions.pxi   activations and costs: one switch per question
#   layers.pxi      one layer of a block of samples: forward, backward, gradient, update
#   this file       the doors: whole passes over blocks, many mini-batches
#   few.pxi         one sample, or one mini-batch, on the public arrays, with a gate of its own
#   shuffling.pxi   apart from all that: the permutations of Python's `random`
#
# The parameter block. All layers lie in one aligned buffer. Layer l is a matrix
# of fan_in + 1 rows (the last is the bias) and `width` columns: fan_out, padded
# with zeros to whole vectors. Rows are inputs, so that forward, backward and
# update walk contiguous memory. Gradients have the same layout.
#
# The layout table has one row a layer, row 0 the input, and the columns FAN_IN ...
# ACTIVATION below; fastbp/parameters.py fills it and is the only other place that
# knows an offset.
#
# Scratch holds `rows` samples: activations of layer l at rows * UNIT[l], one row of
# WIDTH[l] values a sample, and the errors delta in the same layout behind them; behind
# these, for each thread that shares the block, room for values with samples as columns: the
# errors of two layers, or its share of a layer's activations.
#
# Kernels trust their arguments: the gate (fastbp/samples.py, parameters.py, shuffling.py; the
# doors of few.pxi) has looked at all, and holds them so that user code cannot change their shapes.

cimport cython

cdef extern from *:
    """
    #if defined(__clang__)
    #define FASTBP_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FASTBP_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define FASTBP_COMPILER "msvc"
    #else
    #define FASTBP_COMPILER "unknown"
    #endif

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

    #ifdef _WIN32
    #include <windows.h>
    static double fastbp_clock(void) {
        LARGE_INTEGER now, frequency;
        QueryPerformanceCounter(&now);
        QueryPerformanceFrequency(&frequency);
        return (double)now.QuadPart / (double)frequency.QuadPart;
    }
    #else
    #include <time.h>
    static double fastbp_clock(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    #endif
    """
    const char* COMPILER "FASTBP_COMPILER"
    const char* LEVEL_NAME "FASTBP_LEVEL"
    const char* BUILD_FLAGS "FASTBP_FLAGS"
    double clock "fastbp_clock"() noexcept nogil
    bint has_v3 "fastbp_has_v3"() noexcept
    bint has_v4 "fastbp_has_v4"() noexcept

cdef extern from "simd.h" nogil:
    enum:
        LINE "FASTBP_LINE"
        FROM_ZERO
        FROM_ROW
        FROM_C
        FROM_SCALED
    ctypedef int fastbp_mode
    fastbp_mode flush_subnormals "fastbp_flush_subnormals"() noexcept
    void restore "fastbp_restore"(fastbp_mode) noexcept
    struct fastbp_ahead:
        const char* rows
        Py_ssize_t row_bytes
        const Py_ssize_t* which
        Py_ssize_t n
        Py_ssize_t done
        int lines
    void multiply_float(
        int, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
        const float*, Py_ssize_t, float*, Py_ssize_t, const float*, float, fastbp_ahead*
    ) noexcept  # fmt: skip
    void multiply_double(
        int, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
        const double*, Py_ssize_t, double*, Py_ssize_t, const double*, double, fastbp_ahead*
    ) noexcept  # fmt: skip
    void sigmoid_float(Py_ssize_t, float*) noexcept
    void sigmoid_double(Py_ssize_t, double*) noexcept
    bint finite_float(Py_ssize_t, const float*) noexcept
    bint finite_double(Py_ssize_t, const double*) noexcept
    void dots_float(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, const float*, Py_ssize_t,
        const float*, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    void dots_double(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, const double*, Py_ssize_t,
        const double*, double*, Py_ssize_t
    ) noexcept  # fmt: skip
    float combine_float(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
        const float*, Py_ssize_t, const float*, float, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    double combine_double(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
        const double*, Py_ssize_t, const double*, double, double*, Py_ssize_t
    ) noexcept  # fmt: skip

cdef extern from "threads.h" nogil:
    enum:
        FASTBP_TEAMS
        TEAM_LENGTH
    bint meet "fastbp_meet"(Py_ssize_t*, Py_ssize_t) noexcept
    bint agree "fastbp_agree"(Py_ssize_t*, Py_ssize_t, Py_ssize_t, bint) noexcept
    void abort_team "fastbp_abort"(Py_ssize_t*) noexcept

# The type of parameters, activations and gradients: the network's dtype.
ctypedef fused real:
    float
    double

# The caller's X, of either type, which is read once per pass and never copied whole. Its type
# is no second fused one: that would compile each of the doors below twice as often.
cdef struct Inputs:
    const float* floats  # NULL if they are doubles
    const double* doubles
    Py_ssize_t n_0

cdef enum:
    FAN_IN
    FAN_OUT
    WIDTH  # fan_out, padded to whole vectors
    OFFSET  # of the layer's matrix in the parameter block
    UNIT  # of the layer's activations in scratch, per row of scratch
    ACTIVATION
    N_COLUMNS

cdef enum:
    MANY = 64  # samples, and outputs, from which on transposing the activations pays

# Float64 inputs are cut to this in a float32 network, where 1e300 would become
# infinite; weighted sums of it stay finite, so that it saturates a neuron.
cdef double BOUND = 1e30

# Multiply-adds between two looks at the clock: some 50 microseconds.
cdef double CLOCK_WORK = 1e5

LEVEL = LEVEL_NAME.decode()
FLAGS = BUILD_FLAGS.decode()
COMPILED_BY = COMPILER.decode()
SUPPORTED = ("base",) + ("x86v3",) * has_v3() + ("x86v4",) * has_v4()
INPUT_BOUND = BOUND
ALIGNMENT = LINE
TEAM = TEAM_LENGTH if FASTBP_TEAMS else 0  # words; 0: this build computes with one thread
LAYOUT_COLUMNS = {
    "fan_in": FAN_IN,
    "fan_out": FAN_OUT,
    "width": WIDTH,
    "offset": OFFSET,
    "unit": UNIT,
    "activation": ACTIVATION,
}

include "functions.pxi"
include "layers.pxi"
include "few.pxi"
include "shuffling.pxi"


# -- blocks of samples, on the parameter block ---------------------------------------


cdef Inputs inputs_of(X) except *:
    """Return where X (n, n_0) lies; the caller keeps it alive."""
    cdef const float[:, ::1] floats
    cdef const double[:, ::1] doubles
    cdef Inputs inputs = Inputs(NULL, NULL, X.shape[1])
    if X.shape[0] == 0:
        return inputs
    if X.itemsize == sizeof(float):
        floats = X
        inputs.floats = &floats[0, 0]
    else:
        doubles = X
        inputs.doubles = &doubles[0, 0]
    return inputs


def forward(
    const real[::1] params,                # IN
    const Py_ssize_t[:, ::1] layout,       # IN
    real[::1] scratch,                     # WORK
    Py_ssize_t rows,                       # IN   samples that scratch holds
    X,                                     # IN   (n, n_0), float or double
    Py_ssize_t start,                      # IN   first and
    Py_ssize_t stop,                       # IN   past the last sample
    real[:, ::1] out,                      # OUT  (n, n_L), rows start to stop
):
    """Compute the output activations of samples start to stop."""
    cdef Inputs inputs = inputs_of(X)
    cdef Py_ssize_t s, n, last = layout.shape[0] - 1
    cdef Py_ssize_t fan_out = layout[last, FAN_OUT]
    cdef const real* a
    cdef fastbp_mode mode
    with nogil:
        mode = flush_subnormals()
        while start < stop:
            n = min(rows, stop - start)
            for s in range(n):
                load(inputs, start + s, &scratch[s * layout[0, WIDTH]])
            block_forward(&params[0], layout, &scratch[0], rows, 0, n)
            a = &scratch[rows * layout[last, UNIT]]
            for s in range(n):
                copy(fan_out, a + s * layout[last, WIDTH], &out[start + s, 0])
            start += n
        restore(mode)


cdef void gather(
    const Py_ssize_t[:, ::1] layout,
    Inputs inputs,
    const real[:, ::1] Y,
    const Py_ssize_t[::1] order,
    Py_ssize_t position,  # of sample 0 of scratch in the order
    Py_ssize_t rows,
    Py_ssize_t first,
    Py_ssize_t n,
    real* scratch,  # OUT  activations of layer 0, and targets in place of the last delta
) noexcept nogil:
    """Bring n samples, from the first on, to where forward and backward expect them."""
    cdef Py_ssize_t s, i, last = layout.shape[0] - 1
    cdef real* delta = scratch + rows * (total_width(layout) + layout[last, UNIT])
    for s in range(first, first + n):
        i = order[position + s]
        copy(layout[last, FAN_OUT], &Y[i, 0], delta + s * layout[last, WIDTH])
        load(inputs, i, scratch + s * layout[0, WIDTH])


cdef fastbp_ahead samples_ahead(Inputs inputs, Py_ssize_t rows, Py_ssize_t fan_in) noexcept nogil:
    """Return what to fetch while the first layer's update runs: samples, yet to be named."""
    cdef fastbp_ahead ahead
    ahead.rows = <const char*> inputs.floats
    ahead.row_bytes = inputs.n_0 * <Py_ssize_t> sizeof(float)
    if inputs.floats == NULL:
        ahead.rows = <const char*> inputs.doubles
        ahead.row_bytes = inputs.n_0 * <Py_ssize_t> sizeof(double)
    ahead.which, ahead.n, ahead.done = NULL, 0, 0
    ahead.lines = <int> (1 + 8 * rows * (ahead.row_bytes // LINE + 1) // fan_in)
    return ahead


def gradient(
    const real[::1] params,                # IN
    real[::1] grads,                       # OUT  the sum over all samples of the order
    const Py_ssize_t[:, ::1] layout,       # IN
    real[::1] scratch,                     # WORK
    Py_ssize_t rows,                       # IN   samples that scratch holds
    X,                                     # IN   (n, n_0), float or double
    const real[:, ::1] Y,                  # IN   (n, n_L)
    const Py_ssize_t[::1] order,           # IN   indices into X and Y
    int cost,                              # IN
):
    """Compute the gradient of the summed cost by every parameter."""
    cdef Inputs inputs = inputs_of(X)
    cdef Py_ssize_t position = 0, count
    cdef fastbp_mode mode
    cdef real* turned = &scratch[2 * rows * total_width(layout)]
    with nogil:
        mode = flush_subnormals()
        while position < order.shape[0]:
            count = min(rows, order.shape[0] - position)
            gather(layout, inputs, Y, order, position, rows, 0, count, &scratch[0])
            block_forward(&params[0], layout, &scratch[0], rows, 0, count)
            block_backward(&params[0], layout, &scratch[0], turned, rows, 0, count, cost, <real> 1)
            block_gradient(
                layout, &scratch[0], rows, count, FROM_C if position else FROM_ZERO, <real> 1,
                turned, 0, 1, &grads[0], NULL,
            )  # fmt: skip
            position += count
        restore(mode)


def train(
    real[::1] params,                      # IN/OUT  updated after each whole mini-batch
    real[::1] grads,                       # IN/OUT  the steps so far of an unfinished one
    const Py_ssize_t[:, ::1] layout,       # IN
    real[::1] scratch,                     # WORK    with room to turn deltas in for each part
    Py_ssize_t rows,                       # IN   samples that scratch holds
    X,                                     # IN   (n, n_0), float or double
    const real[:, ::1] Y,                  # IN   (n, n_L)
    const Py_ssize_t[::1] order,           # IN   the epoch: indices into X and Y
    Py_ssize_t position,                   # IN   samples of the epoch already taken
    Py_ssize_t batch,                      # IN   samples in a mini-batch
    int cost,                              # IN
    double rate,                           # IN   step per sample-mean gradient
    double decay,                          # IN   factor on the weights at each update
    double seconds,                        # IN   return at the first look at the clock after these
    Py_ssize_t part=0,                     # IN   which of the
    Py_ssize_t parts=1,                    # IN   threads that call this at once, all alike
    Py_ssize_t[::1] team=None,             # WORK where these meet, zeros at first
):
    """Train on the epoch from ``position`` on; return the position reached.

    It is the end of the epoch, or earlier when ``seconds`` have passed. A call
    with the position returned goes on as if there had been no pause, also within
    a mini-batch, and with the same bits.

    The threads of a team share each block of samples: first every one carries its own
    samples forward and backward, then it updates its own rows of parameters from all
    samples. Each number is computed by one thread, of the same terms in the same order
    whatever the parts. Where ``abort`` has been called, as one thread never came, the
    others return with nothing changed.
    """
    cdef Inputs inputs = inputs_of(X)
    cdef Py_ssize_t n = order.shape[0], first, end, count, own, n_own
    cdef Py_ssize_t turning = 2 * rows * total_width(layout)
    cdef Py_ssize_t* meeting = NULL if team is None else &team[0]
    cdef real* turned = &scratch[turning + part * ((scratch.shape[0] - turning) // parts)]
    cdef double work = 0.0, deadline = 0.0
    cdef real step
    cdef bint leave = False
    cdef int start
    cdef fastbp_ahead ahead = samples_ahead(inputs, rows, layout[1, FAN_IN])
    cdef fastbp_mode mode
    with nogil:
        mode = flush_subnormals()
        deadline = clock() + seconds
        while position < n and not leave:
            first = position - position % batch
            end = min(first + batch, n)
            count = min(rows, end - position)
            own = share(count, part, parts)
            n_own = share(count, part + 1, parts) - own
            gather(layout, inputs, Y, order, position, rows, own, n_own, &scratch[0])
            block_forward(&params[0], layout, &scratch[0], rows, own, n_own)
            ahead.which, ahead.done = &order[position] + count + own, 0
            ahead.n = min(n_own, n - position - count - own)
            # Backpropagation is linear in the output error: scaled there, deltas are steps.
            step = <real> (-rate / (end - first))
            block_backward(
                &params[0], layout, &scratch[0], turned, rows, own, n_own, cost, step
            )
            if parts > 1 and not meet(meeting, parts):
                break
            if position == first and count == end - first:
                # The whole mini-batch at once: straight to the parameters.
                start = FROM_C if decay == 1 else FROM_SCALED
                block_gradient(
                    layout, &scratch[0], rows, count, start, <real> decay, turned, part, parts,
                    &params[0], &ahead,
                )
            else:
                start = FROM_ZERO if position == first else FROM_C
                block_gradient(
                    layout, &scratch[0], rows, count, start, <real> 1, turned, part, parts,
                    &grads[0], &ahead,
                )
                if position + count == end:
                    block_update(layout, &grads[0], <real> decay, part, parts, &params[0])
            position += count
            work += <double> count * params.shape[0]
            if work > CLOCK_WORK:
                work = 0.0
                leave = clock() > deadline
            if parts > 1:
                leave = agree(meeting, parts, part, leave)
        restore(mode)
    return position


def abort(Py_ssize_t[::1] team):
    """Let those of the team that wait, or will, return: one of them never comes."""
    abort_team(&team[0])


def all_finite(const real[::1] values):
    """Return whether no value is NaN or infinite."""
    cdef bint result = True
    if values.shape[0]:
        with nogil:
            result = finite(values.shape[0], &values[0])
    return result
