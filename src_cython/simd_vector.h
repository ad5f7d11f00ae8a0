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
                if (from == FROM_C || from == FROM_SCALED)                                   \
                    start = ((const VEC *)(C + i * c_row))[v];                               \
                if (from == FROM_SCALED) start *= scale;                                     \
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

/* From so many rows of C on, a panel of Y whose rows lie so far apart is first copied to one
 * place: half a page apart, they would share a few lines of the first cache. */
#define PACKED_ROWS 64
#define PACKED_BYTES 2048

/* The next of even parts of n, each at most `most`: 13 are 4 + 3 + 3 + 3, not 4 + 4 + 4 + 1. */
static inline int NAME(part)(ptrdiff_t n, ptrdiff_t most)
{
    if (n <= most) return (int)n; /* in small networks divisions are felt */
    const ptrdiff_t parts = (n + most - 1) / most;
    return (int)((n + parts - 1) / parts);
}

/* All tiles of a panel of C: the columns of its tiles, and n terms of the sums. */
static void __attribute__((noinline)) NAME(panel)(
    int columns, int from, ptrdiff_t n_rows, ptrdiff_t n,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, struct fastbp_ahead *ahead)
{
    while (n_rows > 0) {
        const int rows = NAME(part)(n_rows, MOST_ROWS(columns));
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
        if (ahead) fastbp_fetch(ahead, rows);
        X += rows * x_row;
        C += rows * c_row;
        n_rows -= rows;
    }
}

/* The same, with the panel of Y copied to one place first. */
static void __attribute__((noinline)) NAME(packed_panel)(
    int columns, int from, ptrdiff_t n_rows, ptrdiff_t n,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, struct fastbp_ahead *ahead)
{
    VEC packed[SUM_BLOCK * MOST_COLUMNS];
    for (ptrdiff_t p = 0; p < n; p++)
        for (int v = 0; v < columns; v++)
            packed[p * columns + v] = ((const VEC *)(Y + p * y_row))[v];
    NAME(panel)(
        columns, from, n_rows, n, X, x_row, x_term, (const REAL *)packed, columns * SIZE,
        C, c_row, row, scale, ahead);
}

static void NAME(multiply)(
    int from, ptrdiff_t n_rows, ptrdiff_t n_columns, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, struct fastbp_ahead *ahead)
{
    ptrdiff_t left = n_columns / SIZE;
    while (left > 0) {
        const int columns = NAME(part)(left, MOST_COLUMNS);
        ptrdiff_t done = 0;
        do {
            const ptrdiff_t n = n_terms - done < SUM_BLOCK ? n_terms - done : SUM_BLOCK;
            const int now = done ? FROM_C : from;
            (n_rows >= PACKED_ROWS && y_row * (ptrdiff_t)sizeof(REAL) >= PACKED_BYTES
                 ? NAME(packed_panel) : NAME(panel))(
                columns, now, n_rows, n, X + done * x_term, x_row, x_term, Y + done * y_row,
                y_row, C, c_row, row, scale, ahead);
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
    const VEC r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    (void)r8; /* of float, nothing is left */
    const VEC power = (VEC)(((BITS)shifted + EXPONENT_BIAS) << MANTISSA_BITS);
    const VEC a = 1 / (1 + EXP(r, r2, r4, r8) * power);
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
#undef PACKED_ROWS
#undef PACKED_BYTES
