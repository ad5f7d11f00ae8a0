/* simd.h's kernels for one REAL, in gcc's and clang's vector types. */

#ifndef VECTOR_BYTES
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif

typedef REAL NAME(vec) __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef INTEGER NAME(bits) __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define VEC NAME(vec)
#define BITS NAME(bits)
#define SIZE ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))

/* Accumulators stay in registers only if no loop is left around them. */
#define UNROLL _Pragma("GCC unroll 12")

/* One tile of C, ROWS x COLUMNS vectors, in registers while it sums over n terms. */
#define TILE(ROWS, COLUMNS)                                                                  \
    {                                                                                        \
        VEC acc[ROWS][COLUMNS];                                                              \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) {                                       \
                VEC start = {0};                                                             \
                if (from == FROM_ROW) start = ((const VEC *)row)[v];                         \
                if (from == FROM_C) start = ((const VEC *)(C + i * c_row))[v] * scale;       \
                acc[i][v] = start;                                                           \
            }                                                                                \
        for (ptrdiff_t p = 0; p < n; p++) {                                                  \
            VEC y[COLUMNS];                                                                  \
            UNROLL for (int v = 0; v < COLUMNS; v++) y[v] = ((const VEC *)(Y + p * y_row))[v];\
            UNROLL for (int i = 0; i < ROWS; i++) {                                          \
                const REAL x = X[i * x_row + p * x_term];                                    \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[i][v] += x * y[v];              \
            }                                                                                \
        }                                                                                    \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) ((VEC *)(C + i * c_row))[v] = acc[i][v];\
    }                                                                                        \
    break;

#define CASE(ROWS, COLUMNS) case ROWS: TILE(ROWS, COLUMNS)
#define UP_TO_6(COLUMNS) CASE(1, COLUMNS) CASE(2, COLUMNS) CASE(3, COLUMNS) CASE(4, COLUMNS) \
    CASE(5, COLUMNS) CASE(6, COLUMNS)
#define UP_TO_12(COLUMNS) UP_TO_6(COLUMNS) CASE(7, COLUMNS) CASE(8, COLUMNS)                 \
    CASE(9, COLUMNS) CASE(10, COLUMNS) CASE(11, COLUMNS) CASE(12, COLUMNS)

/* The largest tiles whose accumulators, a row of Y and one x fit the registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MOST_COLUMNS 4 /* 32 registers */
#define MOST_ROWS(columns) ((columns) >= 3 ? 6 : 12)
#else
#define MOST_COLUMNS 2 /* 16 registers; widths are whole lines, so 1 is not needed */
#define MOST_ROWS(columns) 6
#endif

/* Sums of at most this many terms at a time: a panel of Y then stays in the first cache. */
#define SUM_BLOCK 128

/* All tiles of a panel of C: the columns of its tiles, and n terms of the sums. */
static void NAME(panel)(
    int columns, int from, ptrdiff_t n_rows, ptrdiff_t n,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale)
{
    while (n_rows > 0) {
        const ptrdiff_t most = MOST_ROWS(columns), parts = (n_rows + most - 1) / most;
        const int rows = (int)((n_rows + parts - 1) / parts);
        switch (columns) {
#if MOST_COLUMNS == 4
        case 4: switch (rows) { UP_TO_6(4) } break;
        case 3: switch (rows) { UP_TO_6(3) } break;
        case 2: switch (rows) { UP_TO_12(2) } break;
        case 1: switch (rows) { UP_TO_12(1) } break;
#else
        case 2: switch (rows) { UP_TO_6(2) } break;
#endif
        }
        X += rows * x_row;
        C += rows * c_row;
        n_rows -= rows;
    }
}

static void NAME(multiply)(
    int from, ptrdiff_t n_rows, ptrdiff_t n_columns, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale)
{
    ptrdiff_t left = n_columns / SIZE;
    while (left > 0) {
        /* Even parts: 13 vectors are 4 + 3 + 3 + 3, not 4 + 4 + 4 + 1. */
        const ptrdiff_t parts = (left + MOST_COLUMNS - 1) / MOST_COLUMNS;
        const int columns = (int)((left + parts - 1) / parts);
        ptrdiff_t done = 0;
        do {
            const ptrdiff_t n = n_terms - done < SUM_BLOCK ? n_terms - done : SUM_BLOCK;
            NAME(panel)(
                columns, done ? FROM_C : from, n_rows, n, X + done * x_term, x_row, x_term,
                Y + done * y_row, y_row, C, c_row, row, done ? 1 : scale);
            done += n;
        } while (done < n_terms);
        left -= columns;
        Y += columns * SIZE;
        C += columns * SIZE;
        if (from == FROM_ROW) row += columns * SIZE;
    }
}

static inline VEC NAME(sigmoid_of)(VEC z)
{
    const VEC minus_z = -z;
    /* NaN fails both comparisons and passes through. */
    const BITS large = minus_z > LARGEST, small = minus_z < -LARGEST;
    const BITS least = (BITS)((VEC){0} - LARGEST);
    const VEC x = (VEC)(((BITS)minus_z & ~(large | small)) | (small & least));
    const VEC shifted = x * LOG2_E + ROUND;
    const VEC whole = shifted - ROUND;
    const VEC r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    const VEC power = (VEC)(((BITS)shifted + EXPONENT_BIAS) << MANTISSA_BITS);
    const VEC a = 1 / (1 + POLYNOMIAL(r) * power);
    return (VEC)((BITS)a & ~large);
}

static void NAME(sigmoid)(ptrdiff_t n, REAL *z)
{
    VEC part;
    ptrdiff_t i = 0;
    for (; i + SIZE <= n; i += SIZE) {
        memcpy(&part, z + i, sizeof part);
        part = NAME(sigmoid_of)(part);
        memcpy(z + i, &part, sizeof part);
    }
    if (i < n) {
        part = (VEC){0};
        memcpy(&part, z + i, (size_t)(n - i) * sizeof(REAL));
        part = NAME(sigmoid_of)(part);
        memcpy(z + i, &part, (size_t)(n - i) * sizeof(REAL));
    }
}

#undef VEC
#undef BITS
#undef SIZE
#undef UNROLL
#undef TILE
#undef CASE
#undef UP_TO_6
#undef UP_TO_12
#undef MOST_COLUMNS
#undef MOST_ROWS
#undef SUM_BLOCK
