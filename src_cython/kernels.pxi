# What the core has from C: the register tiles, the vector maths, the barrier, prefetching.

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
    double clock "fastbp_clock"() noexcept nogil

cdef extern from "simd.h" nogil:
    enum:
        VECTOR_BYTES
        PLAIN_LOOPS "FASTBP_PLAIN_LOOPS"
        FROM_ZERO
        MOST_SAMPLES "FASTBP_MOST_SAMPLES"
        FROM_ROW
        FROM_C
    ctypedef int fastbp_mode
    fastbp_mode flush_subnormals "fastbp_flush_subnormals"() noexcept
    void restore "fastbp_restore"(fastbp_mode) noexcept
    ctypedef struct PrefetchQueue:
        const char* rows
        const Py_ssize_t* starts
        Py_ssize_t bytes
        const Py_ssize_t* which
        Py_ssize_t n
        Py_ssize_t done
        int lines
    void prefetch_line "FASTBP_PREFETCH"(const void*) noexcept
    void prefetch_row "fastbp_prefetch_row"(const void*, Py_ssize_t) noexcept
    void prefetch "fastbp_prefetch"(PrefetchQueue*, int) noexcept
    void prefetch_lines "fastbp_prefetch_lines"(PrefetchQueue*, int) noexcept
    void gemm_float(
        int, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
        const float*, Py_ssize_t, float*, Py_ssize_t, const float*, float, PrefetchQueue*
    ) noexcept  # fmt: skip
    void gemm_double(
        int, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
        const double*, Py_ssize_t, double*, Py_ssize_t, const double*, double, PrefetchQueue*
    ) noexcept  # fmt: skip
    void sigmoid_float(Py_ssize_t, Py_ssize_t, float*, Py_ssize_t) noexcept
    void sigmoid_double(Py_ssize_t, Py_ssize_t, double*, Py_ssize_t) noexcept
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
    void tanh_float(Py_ssize_t, Py_ssize_t, float*, Py_ssize_t) noexcept
    void tanh_double(Py_ssize_t, Py_ssize_t, double*, Py_ssize_t) noexcept
    void softplus_float(Py_ssize_t, Py_ssize_t, float*, Py_ssize_t) noexcept
    void softplus_double(Py_ssize_t, Py_ssize_t, double*, Py_ssize_t) noexcept
    void exponential_float(Py_ssize_t, Py_ssize_t, float*, Py_ssize_t) noexcept
    void exponential_double(Py_ssize_t, Py_ssize_t, double*, Py_ssize_t) noexcept
    void times_decay_float(Py_ssize_t, const float*, float*) noexcept
    void times_decay_double(Py_ssize_t, const double*, double*) noexcept
    void transpose_float(
        Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, float*, Py_ssize_t
    ) noexcept  # fmt: skip
    void transpose_double(
        Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, double*, Py_ssize_t
    ) noexcept  # fmt: skip
    Py_ssize_t list_places "fastbp_list"(
        Py_ssize_t, const uint32_t*, const uint32_t*, uint16_t*
    ) noexcept
    Py_ssize_t mask_bytes "fastbp_mask_bytes"(Py_ssize_t) noexcept
    void mask_float(Py_ssize_t, const float*, uint32_t*) noexcept
    void mask_double(Py_ssize_t, const double*, uint32_t*) noexcept
    void unpack_row_float(Py_ssize_t, const char*, float*) noexcept
    void unpack_row_double(Py_ssize_t, const char*, double*) noexcept
    void add_wide_rows_float(
        Py_ssize_t, const uint32_t*, const uint32_t*, Py_ssize_t, const float**, const float*,
        Py_ssize_t, float,
        float*, PrefetchQueue*
    ) noexcept  # fmt: skip
    void add_rows_float(
        Py_ssize_t, const uint32_t*, Py_ssize_t, Py_ssize_t, const float**, const float*,
        Py_ssize_t, float,
        float*, uint16_t*, PrefetchQueue*
    ) noexcept  # fmt: skip
    void add_wide_rows_double(
        Py_ssize_t, const uint32_t*, const uint32_t*, Py_ssize_t, const double**, const double*,
        Py_ssize_t, double,
        double*, PrefetchQueue*
    ) noexcept  # fmt: skip
    void add_rows_double(
        Py_ssize_t, const uint32_t*, Py_ssize_t, Py_ssize_t, const double**, const double*,
        Py_ssize_t, double,
        double*, uint16_t*, PrefetchQueue*
    ) noexcept  # fmt: skip
    Py_ssize_t pack_row_float(Py_ssize_t, const float*, char*) noexcept
    Py_ssize_t pack_row_double(Py_ssize_t, const double*, char*) noexcept
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
    enum:
        FASTBP_TEAMS
        TEAM_LENGTH
    bint barrier "fastbp_barrier"(Py_ssize_t*, Py_ssize_t) noexcept
    bint broadcast "fastbp_broadcast"(Py_ssize_t*, Py_ssize_t, Py_ssize_t, bint) noexcept
    void abort "fastbp_abort"(Py_ssize_t*) noexcept

cdef extern from "interface.h":
    enum:
        LINE "FASTBP_LINE"
    double BOUND "FASTBP_BOUND"
    double LEAK "FASTBP_LEAK"

cdef enum:
    TRANSPOSE_FROM = 64  # samples, and outputs, from which on transposing the activations pays

# Whether special cases are computed in their own way, which changes no bit.
cdef bint FAST_PATHS = environ.get("FASTBP_FAST_PATHS") != "0"
