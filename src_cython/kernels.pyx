# The arithmetic of one SIMD level, on buffers that core.pyx has looked at and holds. Read in
# this order:
#
#   interface.pxd   how parameters, activations and errors lie; what core.pyx may call
#   simd.h          the kernels that must fill the vector units: multiply, sigmoid and others
#   threads.h       how threads that share a mini-batch wait for each other
#   functions.pxi   activations and costs: one switch per question
#   sparse.pxi      the first layer, for inputs many of which are 0
#   layers.pxi      one layer of a block of samples, and all layers: forward, backward, update
#   tiny.pxi        mini-batches of one sample through layers of one line
#   passes.pxi      all samples, block by block: outputs, mini-batches
#   gradients.pxi   the same: sums of gradients, norms, one for each sample, Hessian products
#   few.pxi         a few samples on the public arrays
#
# This module holds no Python function: TABLE is how core.pyx gets at these.

from cpython.pycapsule cimport PyCapsule_New
from libc.float cimport DBL_EPSILON, DBL_MIN, FLT_EPSILON
from libc.math cimport INFINITY, exp, fabs, log, pow, sqrt, sqrtf
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from interface cimport *

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
    const char* INTERFACE "FASTBP_INTERFACE"
    double clock "fastbp_clock"() noexcept nogil

cdef extern from "simd.h" nogil:
    enum:
        VECTOR_BYTES
        FROM_ZERO
        FEW "FASTBP_FEW"
        FROM_ROW
        FROM_C
    ctypedef int fastbp_mode
    fastbp_mode flush_subnormals "fastbp_flush_subnormals"() noexcept
    void restore "fastbp_restore"(fastbp_mode) noexcept
    struct fastbp_ahead:
        const char* rows
        const Py_ssize_t* starts
        Py_ssize_t bytes
        const Py_ssize_t* which
        Py_ssize_t n
        Py_ssize_t done
        int lines
    void prefetch "FASTBP_PREFETCH"(const void*) noexcept
    void fetch_row "fastbp_fetch_row"(const void*, Py_ssize_t) noexcept
    void fastbp_fetch(fastbp_ahead*, int) noexcept
    void fastbp_fetch_lines(fastbp_ahead*, int) noexcept
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
    void sigmoid_line_float(const float*, float*, float*) noexcept
    void sigmoid_line_double(const double*, double*, double*) noexcept
    void error_line_float(const float*, const float*, float*) noexcept
    void error_line_double(const double*, const double*, double*) noexcept
    void times_line_float(const float*, float*) noexcept
    void times_line_double(const double*, double*) noexcept
    void advance_float(
        Py_ssize_t, float, float*, float*, const float*, const float*, const float*, float*
    ) noexcept  # fmt: skip
    void advance_double(
        Py_ssize_t, double, double*, double*, const double*, const double*, const double*, double*
    ) noexcept  # fmt: skip
    void tanh_float(Py_ssize_t, float*) noexcept
    void tanh_double(Py_ssize_t, double*) noexcept
    void softplus_float(Py_ssize_t, float*) noexcept
    void softplus_double(Py_ssize_t, double*) noexcept
    void exponential_float(Py_ssize_t, float*) noexcept
    void exponential_double(Py_ssize_t, double*) noexcept
    void decay_float(Py_ssize_t, float*) noexcept
    void decay_double(Py_ssize_t, double*) noexcept
    void transpose_float(
        Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    void transpose_double(
        Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, double*, Py_ssize_t
    ) noexcept  # fmt: skip
    Py_ssize_t fastbp_list(Py_ssize_t, const uint32_t*, const uint32_t*, uint16_t*) noexcept
    Py_ssize_t mask_bytes "fastbp_mask_bytes"(Py_ssize_t) noexcept
    void mask_float(Py_ssize_t, const float*, uint32_t*) noexcept
    void mask_double(Py_ssize_t, const double*, uint32_t*) noexcept
    void expand_float(Py_ssize_t, const char*, float*) noexcept
    void expand_double(Py_ssize_t, const char*, double*) noexcept
    void add_wide_rows_float(
        Py_ssize_t, const uint32_t*, const uint32_t*, Py_ssize_t, const float**, const float*, float,
        float*, fastbp_ahead*
    ) noexcept  # fmt: skip
    void add_rows_float(
        Py_ssize_t, const uint32_t*, Py_ssize_t, Py_ssize_t, const float**, const float*, float,
        float*, uint16_t*, fastbp_ahead*
    ) noexcept  # fmt: skip
    void add_wide_rows_double(
        Py_ssize_t, const uint32_t*, const uint32_t*, Py_ssize_t, const double**, const double*, double,
        double*, fastbp_ahead*
    ) noexcept  # fmt: skip
    void add_rows_double(
        Py_ssize_t, const uint32_t*, Py_ssize_t, Py_ssize_t, const double**, const double*, double,
        double*, uint16_t*, fastbp_ahead*
    ) noexcept  # fmt: skip
    Py_ssize_t compress_float(Py_ssize_t, const float*, char*) noexcept
    Py_ssize_t compress_double(Py_ssize_t, const double*, char*) noexcept
    void sum_listed_float(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const uint16_t*, const float*, const float*,
        const float*, Py_ssize_t, const float*, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    void sum_listed_double(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const uint16_t*, const double*, const double*,
        const double*, Py_ssize_t, const double*, double*, Py_ssize_t
    ) noexcept  # fmt: skip
    Py_ssize_t add_listed_float(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const uint16_t*, const float*, const float*,
        const float*, Py_ssize_t, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    Py_ssize_t add_listed_double(
        Py_ssize_t, Py_ssize_t, Py_ssize_t, const uint16_t*, const double*, const double*,
        const double*, Py_ssize_t, double*, Py_ssize_t
    ) noexcept  # fmt: skip
    double squares_float(Py_ssize_t, const float*) noexcept
    double squares_double(Py_ssize_t, const double*) noexcept
    void outer_float(Py_ssize_t, Py_ssize_t, const float*, const float*, float*) noexcept
    void outer_double(Py_ssize_t, Py_ssize_t, const double*, const double*, double*) noexcept
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
    bint meet "fastbp_meet"(Py_ssize_t*, Py_ssize_t) noexcept
    bint agree "fastbp_agree"(Py_ssize_t*, Py_ssize_t, Py_ssize_t, bint) noexcept

cdef enum:
    MANY = 64  # samples, and outputs, from which on transposing the activations pays

include "functions.pxi"
include "sparse.pxi"
include "layers.pxi"
include "gradients.pxi"
include "tiny.pxi"
include "passes.pxi"
include "few.pxi"

cdef Kernels kernels = Kernels(
    forward, train, gradient, norms, values, samples, pull, hessian,
    few_forward, few_gradient, pack, all_finite, compress,
)

LEVEL = LEVEL_NAME.decode()
VECTOR = VECTOR_BYTES  # bytes computed at once
FLAGS = BUILD_FLAGS.decode()
COMPILED_BY = COMPILER.decode().strip()  # clang 14 ends it with a blank
TABLE = PyCapsule_New(&kernels, INTERFACE, NULL)
