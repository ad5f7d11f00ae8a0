# What core.pyx, compiled once, and kernels.pyx, compiled once for each SIMD level, agree on.
#
# The parameter block. All layers lie in one aligned buffer. Layer l is a matrix
# of fan_in + 1 rows (the last is the bias) and `width` columns: fan_out, padded
# with zeros to whole vectors. Rows are inputs, so that forward, backward and
# update walk contiguous memory. Gradients have the same layout.
#
# The layout table has one row a layer, row 0 the input; fastbp/parameters.py fills it and is
# the only other place that knows an offset.
#
# Scratch holds `rows` samples: activations of layer l at rows * unit of l, one row of
# width values a sample, and the errors delta in the same layout behind them; behind
# these, for each thread that shares the block, room for values with samples as columns: the
# errors of two layers, or its share of a layer's activations.

from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint64_t

# A row of the layout table.
cdef struct Layer:
    Py_ssize_t fan_in
    Py_ssize_t fan_out
    Py_ssize_t width  # fan_out, padded to whole vectors
    Py_ssize_t offset  # of the layer's matrix in the parameter block
    Py_ssize_t unit  # of the layer's activations in scratch, per row of scratch
    Py_ssize_t activation

cdef enum:
    BLOCK = 128  # samples at most that scratch holds

cdef enum Activation:
    LINEAR
    SIGMOID
    TANH
    RELU
    LEAKY_RELU
    SOFTPLUS
    EXPONENTIAL
    SOFTMAX

cdef enum Cost:
    QUADRATIC
    CROSS_ENTROPY
    LOG_LIKELIHOOD
    POISSON

cdef extern from "interface.h":
    enum:
        LINE "FASTBP_LINE"
    double BOUND "FASTBP_BOUND"
    double LEAK "FASTBP_LEAK"


cdef inline Py_ssize_t n_params(const Layer* layers, Py_ssize_t last) noexcept nogil:
    """Return the length of the parameter block."""
    return layers[last].offset + (layers[last].fan_in + 1) * layers[last].width


cdef inline Py_ssize_t total_width(const Layer* layers, Py_ssize_t last) noexcept nogil:
    """Return how many activations of a sample scratch holds, all layers with their padding."""
    return layers[last].unit + layers[last].width


cdef inline Py_ssize_t n_turned(
    const Layer* layers, Py_ssize_t last, Py_ssize_t rows, Py_ssize_t parts, Py_ssize_t itemsize
) noexcept nogil:
    """Return how many values each of the threads that share scratch has room for behind it."""
    cdef Py_ssize_t l, widest = 0, line = LINE // itemsize
    for l in range(last + 1):
        widest = max(widest, layers[l].width)
    return 2 * widest * (((rows + parts - 1) // parts + line - 1) // line * line)

# The type of parameters, activations and gradients: the network's dtype.
ctypedef fused real:
    float
    double

# The caller's X, of either type, which is read once per pass. Its type is no second fused one:
# that would compile each function twice as often. Where it is read again and again in random
# order and much of it is 0, there may be records of the rest beside it (compress in simd.h).
cdef struct Inputs:
    const float* floats  # NULL if they are doubles
    const double* doubles
    Py_ssize_t n  # samples
    Py_ssize_t n_0
    const char* records  # or NULL
    const Py_ssize_t* starts  # of each sample's, in bytes, and of the end

# A network's parameter block, and samples to take through it.
cdef struct Pass:
    Py_ssize_t itemsize  # of the network's type: that of all that is void below
    const Layer* layers
    Py_ssize_t last  # the last layer
    const void* params
    void* scratch
    Py_ssize_t rows  # samples that scratch holds
    Inputs inputs
    void* turned  # scratch of this thread's own: (2 widest, rows in lines)
    const void* Y  # (., n_L)
    double scale  # of the cost
    const void* weights  # (.,) of each sample's cost; NULL: all are 1
    const Py_ssize_t* order  # indices into all these
    Py_ssize_t n  # how many
    int cost

cdef enum Optimizer:
    PLAIN
    MOMENTUM
    NESTEROV
    RMSPROP
    ADAM
    ADAMW

# How a step follows from the gradient of a mini-batch.
cdef struct Rule:
    int optimizer
    double l1  # penalties of the weights' sizes and of half their squares, a sample's mean cost
    double l2
    double alpha  # the same of half their squares, of a whole mini-batch: a share for each sample
    double first  # momentum, or the decay of the first moment,
    double second  # and of the second
    double epsilon
    bint hat  # whether epsilon is added to Adam's root before that is corrected, not after
    void* moments  # blocks like the parameters: velocity, or first and second moment
    Py_ssize_t updates  # before this epoch

# Which activations are dropped (Srivastava et al., 2014): a matter of these numbers alone.
cdef struct Dropout:
    const double* rates  # of each layer from the input on; NULL: none
    uint64_t seed
    uint64_t drawn  # samples before this epoch

# How `train` goes on from `position`.
cdef struct Steps:
    void* params
    void* grads  # of an unfinished mini-batch: the steps so far; of a rule, the gradient
    Py_ssize_t position  # samples of the order already taken
    Py_ssize_t batch  # samples in a mini-batch
    double rate  # step per sample-mean gradient
    double decay  # factor on the weights at each update
    double seconds  # return at the first look at the clock after these
    Py_ssize_t part  # which of the
    Py_ssize_t parts  # threads that do this at once, all alike
    Py_ssize_t* team  # where these meet
    double max_norm  # of a sample's gradient; what is longer is scaled down to it
    # OUT the cost of each sample of the order before its step, weighted and with penalties, so that
    # their mean over a mini-batch is its cost; NULL: not asked for.
    double* costs
    Rule rule
    Dropout dropout

# A sum over samples.
cdef struct Sum:
    void* grads
    bint add  # to what is there
    bint squared  # the sum of squares, parameter by parameter
    double max_norm  # of a sample's gradient, if
    void* norms  # (n,) is not NULL, where the norms go

# Where a value for each sample goes: contiguous from start + stride * s bytes on.
cdef struct Rows:
    void* start
    Py_ssize_t stride

# The public arrays, held: biases, weights, then where it ends the results in the same order,
# then x and y of each sample.
cdef struct Few:
    Py_ssize_t itemsize  # of the network's type
    const Layer* layers
    Py_ssize_t last
    const Py_buffer* held
    const Py_buffer* x  # of the first sample
    Py_ssize_t stride  # buffers from there to x of the next sample
    Py_ssize_t n  # samples
    void* scratch  # of a block of n samples, without what is behind the errors
    int cost
    double scale  # of the gradient
    bint add  # whether the result is that of a step, not the gradient alone
    double decay  # of the weights that it is added to

# One level's functions. Arguments are trusted: the gates have looked at all.
cdef struct Kernels:
    void (*forward)(const Pass*, Py_ssize_t start, Py_ssize_t stop, void* out) noexcept nogil
    Py_ssize_t (*train)(const Pass*, const Steps*) noexcept nogil
    void (*gradient)(const Pass*, const Sum*) noexcept nogil
    void (*norms)(const Pass*, bint per_layer, void* out) noexcept nogil
    void (*values)(const Pass*, bint errors, const Rows*) noexcept nogil
    void (*samples)(const Pass*, const Rows*) noexcept nogil
    void (*pull)(const Pass*, bint of_outputs, void* out) noexcept nogil
    void (*hessian)(const Pass*, const void* direction, bint add, void* out) noexcept nogil
    bint (*few_forward)(const Few*, void* out) noexcept nogil
    int (*few_gradient)(const Few*) noexcept nogil
    void (*pack)(const Few*, bint back, void* block) noexcept nogil
    bint (*finite)(Py_ssize_t itemsize, Py_ssize_t n, const void* values) noexcept nogil
    Py_ssize_t (*compress)(
        Inputs, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t room, Py_ssize_t* starts, char* records
    ) noexcept nogil  # fmt: skip
