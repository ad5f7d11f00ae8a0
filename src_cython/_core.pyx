# The compiled core: feedforward, backpropagation and training, written with typed memoryviews. This
# comment is a guide to its files. The whole core is compiled once per SIMD level, each time as a
# module of its own; fastbp/_dispatch.py picks one at import, and no other file depends on the
# level. Read in this order:
#
#   parameters.pxi       memory layout of weights, activations and errors: `params`, workspace
#   public_arrays.pxi    BP1 to BP4 for samples one at a time, on the book's own arrays: `backprop`
#   backprop.pxi         BP2 to BP4 for a block of samples: forward, backward, gradient
#   functions.pxi        activations, costs and BP1: value, slope, curvature, output error
#   train.pxi            an epoch of SGD: each mini-batch's forward pass, backward pass and update
#   optimizers.pxi       the update rules: momentum, Adam, ...
#   options.pxi          dropout, clipping, penalties, recorded costs
#   gradients.pxi        gradients: summed, per sample, norms, Jacobian, Hessian-vector products
#   samples.pxi          the forms of data: `load` copies a sample's pixels to the workspace
#   gemm.pxi             matrix multiplication: here a pixel is first multiplied by a weight
#   simd.h               the kernels in C: register tiles of gemm (simd_vector.h), vectorised exp
#                        and activations, prefetching; threads.h, the barrier
#   holding.pxi          prevents NumPy from moving a user's array while the core reads it
#   shuffling.pxi        independent of the rest: the permutations of Python's `random`
#
# and two fast paths, which give bit-identical results and can be disabled (FASTBP_FAST_PATHS=0) or
# deleted:
#
#   packed_inputs.pxi    the first layer, for inputs most of which are 0, as digits' pixels are
#   one_line_layers.pxi  samples one at a time through layers as small as XOR's
#
# An entry point takes typed memoryviews, whose type, rank and contiguity Cython checks. It then
# checks shapes, the order and all indices, so that no kernel accesses memory out of bounds, even if
# user code changed an array since the last entry. All other values are validated in Python
# (fastbp/samples.py, parameters.py, shuffling.py). Code inside `nogil` does arithmetic only. `s` is
# a sample, `l` a layer, `j` an output neuron, `k` an input neuron, `at` the first column of a layer
# in a row of the workspace. Of an argument, IN says that it is read, OUT that it is written, WORK
# that it is scratch memory.

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

from array import array as array_type
from mmap import mmap
from os import environ

from numpy import empty
from numpy import ndarray as ndarray_type
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
include "backprop.pxi"
include "gradients.pxi"
include "one_line_layers.pxi"
include "train.pxi"
include "public_arrays.pxi"
include "shuffling.pxi"

LEVEL = LEVEL_NAME.decode()
COMPILED_BY = COMPILER.decode().strip()  # clang 14 adds a trailing space
FLAGS = BUILD_FLAGS.decode()
VECTOR = VECTOR_BYTES  # bytes computed at once
INPUT_BOUND = BOUND
ALIGNMENT = LINE
HAS_FAST_PATHS = bool(FAST_PATHS)  # False if FASTBP_FAST_PATHS=0
TEAMS = bool(FASTBP_TEAMS)  # whether this build computes with several threads
BLOCK_ROWS = BLOCK
LAYER_FIELDS = tuple(Layer(0, 0, 0, 0, 0, 0))  # names of the fields, each an intp
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
    Py_ssize_t start,                      # IN    first sample
    Py_ssize_t stop,                       # IN    one past the last
    real[:, ::1] out not None,             # OUT   (n, n_L), rows start to stop
):
    """Compute the output activations of samples start to stop."""
    check_buffers(layers, params, workspace, transposed, 2, 1)
    check_samples(samples, layers.table)
    cdef const Layer[::1] table = layers.table
    cdef const Layer* output = &table[table.shape[0] - 1]
    # No error is asked for: its buffer holds the lists of nonzero inputs.
    cdef real[:, ::1] a = workspace[0], lists = workspace[1]
    cdef Py_ssize_t s, j, n, at = output.activation_offset
    cdef bint packed
    cdef fastbp_mode mode
    check_range(start, stop, samples)
    check_shape("out", samples.n, output.fan_out, out)
    with nogil:
        mode = flush_subnormals()
        packed = packing_pays(samples, UNSHUFFLED, start, stop)
        while start < stop:
            n = min(a.shape[0], stop - start)
            forward_block(
                table, params, a, lists, &transposed[0, 0], samples, UNSHUFFLED, start, 0, n,
                packed, True, NULL, <Options> None, a, a,
            )  # fmt: skip
            for s in range(n):
                for j in range(output.fan_out):
                    out[start + s, j] = a[s, at + j]
            start += n
        restore(mode)


def train(
    real[::1] params not None,            # IN/OUT  updated after each whole mini-batch
    real[::1] grads not None,             # IN/OUT  sum so far of an unfinished mini-batch
    Layers layers not None,               # IN
    real[:, :, ::1] workspace not None,   # WORK    (2, rows, row_width); (4, ...) with dropout
    real[:, ::1] transposed not None,     # WORK    a row for each thread
    Samples samples not None,             # IN      with targets
    const Py_ssize_t[::1] order not None,  # IN     the epoch: indices of samples
    Py_ssize_t position,                  # IN      samples of the epoch already processed
    Py_ssize_t batch,                     # IN      samples in a mini-batch
    int cost,                             # IN
    double learning_rate,                 # IN      for the mean gradient of a mini-batch
    double weight_factor,                 # IN      weight decay: multiplies weights at each update
    double seconds,                       # IN      time limit, looked at now and then
    Options options=None,                 # IN      optimizer, dropout, clipping, penalties
    Team team=None,                       # IN      threads that share each mini-batch
    Py_ssize_t thread_id=0,               # IN      index of this thread in the team
):
    """Train on the epoch from ``position`` on; return the position reached.

    That is the end of the epoch, or earlier when ``seconds`` have passed. A call with the position
    returned continues the epoch, even within a mini-batch, with bit-identical results. All threads
    of a team call ``train`` with the same arguments, except ``thread_id``.
    """
    if options is None:
        options = PLAIN_STEPS
    cdef Py_ssize_t n_threads = 1 if team is None else team.n_threads
    cdef bint dropout = options.dropout is not None
    check_buffers(layers, params, workspace, transposed, 4 if dropout else 2, n_threads)
    check_block("grads", layers, grads)
    check_order(order, samples)
    cdef const Layer[::1] table = layers.table
    cdef const real[:, ::1] Y = targets_of(samples, table, &params[0])
    cdef const real[::1] weights = weights_of(samples, &params[0])
    cdef real[:, ::1] a = workspace[0], delta = workspace[1], kept = a, factors = a
    cdef real[::1] moments = grads  # a placeholder where the optimizer has no moments
    cdef Py_ssize_t n_moment_blocks = n_moments(options.rule.optimizer)
    cdef fastbp_mode mode
    if batch < 1 or position < 0:
        raise ValueError(error_message("batch", "samples, from a position on", (batch, position)))
    if not 0 <= thread_id < n_threads:
        raise ValueError(error_message("thread_id", f"0 to {n_threads - 1}", thread_id))
    if dropout:
        kept, factors = workspace[2], workspace[3]
        if options.dropout.shape[0] != table.shape[0]:
            wrong_length("dropout", table.shape[0], options.dropout.shape[0])
    if options.costs is not None:
        if options.costs.shape[0] != samples.n:
            wrong_length("costs", samples.n, options.costs.shape[0])
        # When an epoch is replayed up to a mini-batch, the order is shorter than the data.
        if order.shape[0] > samples.n:
            wrong_length("order", samples.n, order.shape[0])
    if n_moment_blocks:
        moments = options.moments
        if moments.shape[0] != n_moment_blocks * params.shape[0]:
            wrong_length("moments", n_moment_blocks * params.shape[0], moments.shape[0])
    check_samples(samples, table)  # last: making the view of the moments may run user code
    with nogil:
        if n_threads == 1 or barrier(team.barrier_state, n_threads):
            mode = flush_subnormals()
            if is_one_line(table, batch, options, weights, n_threads):
                position = train_one_line(
                    table, params, samples, Y, order, position, cost, learning_rate, weight_factor,
                    seconds, options,
                )  # fmt: skip
            else:
                position = train_epoch(
                    table, params, grads, a, delta, kept, factors, &transposed[thread_id, 0],
                    samples, Y, weights, order, position, batch, cost, learning_rate, weight_factor,
                    seconds, options, moments, NULL if team is None else team.barrier_state,
                    thread_id, n_threads,
                )  # fmt: skip
            restore(mode)
    return position


@cython.final
@cython.auto_pickle(False)
cdef class Team:
    """A group of threads that process each mini-batch together.

    Every thread calls ``train`` with it. Each waits inside ``train``, where no signal handler runs,
    until all have arrived, and again until all have finished.
    """

    cdef Py_ssize_t[TEAM_LENGTH] barrier_state  # shared by the threads
    cdef Py_ssize_t n_threads

    def __cinit__(self, Py_ssize_t n_threads):
        if not FASTBP_TEAMS or n_threads < 2:
            raise ValueError(
                error_message("n_threads", "two or more, in a build with threads", n_threads)
            )
        memset(self.barrier_state, 0, sizeof(self.barrier_state))
        self.n_threads = n_threads

    def abort(self):
        """Release all threads that wait, now or later: one will never arrive."""
        abort(self.barrier_state)


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
    # Checked after the view is made, which may have run user code.
    check_place("array", values, <const void*> &numbers[0], numbers.shape[0])
    with nogil:
        result = finite(numbers.shape[0], &numbers[0])
    return result
