# The compiled core: feedforward, backpropagation and training, on typed memoryviews. This file is its
# tour. It is compiled once for each SIMD level, each a module of its own, and fastbp/_dispatch.py picks
# one at import; nothing else knows of levels. Read in this order:
#
#   parameters.pxi       where weights, activations and errors lie: Layer, `params`, the workspace
#   public_arrays.pxi    BP1 to BP4 for samples one at a time, on the book's own arrays
#   block.pxi            BP1 to BP4 for a block of samples, in matrix form: forward, backward, gradient
#   functions.pxi        activations and costs: one switch for each question
#   train.pxi            a run: mini-batches, each forward, backward and a step
#   optimizers.pxi       how a step follows from a gradient; options.pxi, what else `train` does
#   gradients.pxi        gradients in other forms: norms, one for each sample, Hessian products
#   samples.pxi          the forms of data: the one place to add another
#   gemm.pxi             products of matrices: the contract, and plain loops that fulfil it
#   simd.h               what is in C: the register tiles beneath it (simd_vector.h), exp, sigmoid and
#                        their kin on vectors, prefetching; threads.h, the barrier
#   holding.pxi          what keeps a user's arrays where they are while they are read
#   shuffling.pxi        apart from all that: the permutations of Python's `random`
#
# and two fast paths, which change no bit of a result, and can be switched off (FASTBP_FAST_PATHS=0)
# and deleted:
#
#   packed_inputs.pxi    inputs most of which are 0, such as the pixels of digits
#   one_line_layers.pxi  samples one at a time through layers as small as XOR's
#
# An entry point takes typed memoryviews, which Cython checks for type, rank and contiguity; their
# shapes, the order and what else it is given are checked here, together, so that no kernel reads or
# writes outside, whatever code of the user's has done since the last entry. Other values are the
# gate's business (fastbp/samples.py, parameters.py, shuffling.py). Below `nogil` there is arithmetic
# alone. A sample is `s`, a layer `l`, an output neuron `j`, an input neuron `k`; IN, OUT and WORK tell
# what is done with an argument.

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from cpython.ref cimport PyObject
from cpython.weakref cimport PyWeakref_NewRef
from libc.float cimport DBL_EPSILON, DBL_MIN, FLT_EPSILON
from libc.math cimport INFINITY, exp, fabs, log, pow, sqrt, sqrtf
from libc.stdlib cimport free, malloc
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from array import array as pythons_array
from mmap import mmap
from os import environ

from numpy import empty
from numpy import ndarray as numpys_ndarray
from numpy.lib.stride_tricks import as_strided

from fastbp.errors import text as error_message

include "kernels.pxi"
include "holding.pxi"
include "parameters.pxi"
include "gemm.pxi"
include "functions.pxi"
include "optimizers.pxi"
include "options.pxi"
include "samples.pxi"
include "packed_inputs.pxi"
include "block.pxi"
include "gradients.pxi"
include "one_line_layers.pxi"
include "train.pxi"
include "public_arrays.pxi"
include "shuffling.pxi"

LEVEL = LEVEL_NAME.decode()
COMPILED_BY = COMPILER.decode().strip()  # clang 14 ends it with a blank
FLAGS = BUILD_FLAGS.decode()
VECTOR = VECTOR_BYTES  # bytes computed at once
INPUT_BOUND = BOUND
ALIGNMENT = LINE
HAS_FAST_PATHS = bool(FAST_PATHS)  # unless they are switched off
TEAMS = bool(FASTBP_TEAMS)  # whether this build computes with several threads
BLOCK_ROWS = BLOCK
LAYER_FIELDS = tuple(Layer(0, 0, 0, 0, 0, 0))  # names, each of an intp
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


def forward(
    const real[::1] params not None,       # IN
    Layers layers not None,                # IN
    real[:, :, ::1] workspace not None,    # WORK  (2, rows, row_width)
    real[:, ::1] transposed not None,      # WORK
    Samples samples not None,              # IN
    Py_ssize_t start,                      # IN    first and
    Py_ssize_t stop,                       # IN    past the last sample
    real[:, ::1] out not None,             # OUT   (n, n_L), rows start to stop
):
    """Compute the output activations of samples start to stop."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.rows)
    cdef const Layer[::1] rows = layers.rows
    cdef const Layer* output = &rows[rows.shape[0] - 1]
    cdef real[:, ::1] a = workspace[0], lists = workspace[1]
    cdef Py_ssize_t s, j, n, at = output.activation_offset
    cdef bint packed
    cdef fastbp_mode mode
    check_range(start, stop, samples)
    check_shape("out", samples.n, output.fan_out, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, AS_THEY_ARE, start, stop)
        while start < stop:
            n = min(a.shape[0], stop - start)
            forward_block(
                rows, params, a, lists, &transposed[0, 0], samples, AS_THEY_ARE, start, 0, n, packed, True,
                NULL, <Options> None, a, a,
            )  # fmt: skip
            for s in range(n):
                for j in range(output.fan_out):
                    out[start + s, j] = a[s, at + j]
            start += n
        restore(mode)


def train(
    real[::1] params not None,            # IN/OUT  updated after each whole mini-batch
    real[::1] grads not None,             # IN/OUT  the steps so far of an unfinished one
    Layers layers not None,               # IN
    real[:, :, ::1] workspace not None,   # WORK    (2, rows, row_width); 4 with dropout
    real[:, ::1] transposed not None,     # WORK    a row for each thread
    Samples samples not None,             # IN      with targets
    const Py_ssize_t[::1] order not None,  # IN     the epoch: indices of samples
    Py_ssize_t position,                  # IN      samples of the epoch already taken
    Py_ssize_t batch,                     # IN      samples in a mini-batch
    int cost,                             # IN
    double learning_rate,                 # IN      step per sample-mean gradient
    double weight_factor,                 # IN      of the weights at each update, which decays them
    double seconds,                       # IN      return at the first look at the clock after these
    Options options=None,                 # IN      what goes beyond plain steps
    Team team=None,                       # IN      with which this thread shares each mini-batch
    Py_ssize_t thread_id=0,               # IN      which of the team's this is
):
    """Train on the epoch from ``position`` on; return the position reached.

    It is the end of the epoch, or earlier when ``seconds`` have passed. A call with the position
    returned goes on as if there had been no pause, also within a mini-batch, and with the same bits.
    Threads of a team call it with the same arguments, but for ``thread_id``.
    """
    if options is None:
        options = PLAIN_STEPS
    cdef Py_ssize_t n_threads = 1 if team is None else team.n_threads
    cdef bint dropout = options.dropout is not None
    check_buffers(layers, params, workspace, transposed, 4 if dropout else 2, n_threads)
    check_block("grads", layers, grads)
    check_order(order, samples)
    cdef const Layer[::1] rows = layers.rows
    cdef const real[:, ::1] Y = targets_of(samples, rows, &params[0])
    cdef const real[::1] weights = weights_of(samples, &params[0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1], kept = a, factors = a
    cdef real[::1] moments = grads  # without any, never looked at
    cdef Py_ssize_t blocks = n_moments(options.rule.optimizer)
    cdef fastbp_mode mode
    if batch < 1 or position < 0:
        raise ValueError(error_message("batch", "samples, from a position on", (batch, position)))
    if not 0 <= thread_id < n_threads:
        raise ValueError(error_message("thread_id", f"0 to {n_threads - 1}", thread_id))
    if dropout:
        kept, factors = workspace[2], workspace[3]
        if options.dropout.shape[0] != rows.shape[0]:
            wrong_length("dropout", rows.shape[0], options.dropout.shape[0])
    if options.costs is not None:
        if options.costs.shape[0] != samples.n:
            wrong_length("costs", samples.n, options.costs.shape[0])
        # A replay takes the epoch up to a mini-batch: fewer samples than there are.
        if order.shape[0] > samples.n:
            wrong_length("order", samples.n, order.shape[0])
    if blocks:
        moments = options.moments
        if moments.shape[0] != blocks * params.shape[0]:
            wrong_length("moments", blocks * params.shape[0], moments.shape[0])
    check_samples(samples, rows)  # last: making the view of the moments may collect garbage
    with nogil:
        if n_threads == 1 or meet(team.words, n_threads):
            mode = flush_subnormals()
            if is_one_line(rows, batch, options, weights, n_threads):
                position = train_one_line(
                    rows, params, samples, Y, order, position, cost, learning_rate, weight_factor,
                    seconds, options,
                )  # fmt: skip
            else:
                position = train_epoch(
                    rows, params, grads, a, delta, kept, factors, &transposed[thread_id, 0], samples,
                    Y, weights, order, position, batch, cost, learning_rate, weight_factor, seconds,
                    options, moments, NULL if team is None else team.words, thread_id, n_threads,
                )  # fmt: skip
            restore(mode)
    return position


@cython.final
@cython.auto_pickle(False)
cdef class Team:
    """Threads that take their shares of each mini-batch at once.

    All call ``train`` with it. From the first on, they wait in the core, where no signal handler runs,
    until all have come, and until all have left.
    """

    cdef Py_ssize_t[TEAM_LENGTH] words  # where they meet
    cdef Py_ssize_t n_threads

    def __cinit__(self, Py_ssize_t n_threads):
        if not FASTBP_TEAMS or n_threads < 2:
            raise ValueError(
                error_message("n_threads", "two or more, of a build that has them", n_threads)
            )
        memset(self.words, 0, sizeof(self.words))
        self.n_threads = n_threads

    def abort(self):
        """Let those that wait, or will, return: one never comes."""
        abort(self.words)


def all_finite(values):
    """Return whether no value of a contiguous vector is NaN or infinite."""
    cdef list held = []
    hold(values, held)
    refuse_stale("array", values)
    if values.itemsize == sizeof(float):
        return all_finite_in(values, <float*> NULL)
    return all_finite_in(values, <double*> NULL)


cdef bint all_finite_in(values, real* kind) except -1:
    cdef const real[::1] numbers = values
    cdef bint result
    if numbers.shape[0] == 0:
        return True
    # When the view is there: making it may have collected garbage.
    check_place("array", values, <const void*> &numbers[0], numbers.shape[0])
    with nogil:
        result = finite(numbers.shape[0], &numbers[0])
    return result
