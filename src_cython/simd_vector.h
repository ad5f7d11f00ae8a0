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
typedef REAL NAME(quarter) __attribute__((vector_size(16), may_alias));
typedef REAL NAME(loose)
    __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(sizeof(REAL))));
#define VEC NAME(vec)
#define LOOSE NAME(loose)
#define BITS NAME(bits)
#define SIZE ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))

/* Accumulators stay in registers only if no loop is left around them. */
#define UNROLL _Pragma("GCC unroll 16")

/* One tile of C, ROWS x COLUMNS vectors, in registers while it sums over n terms, from
 * `before` on, and adds what comes after. */
#define TILE(ROWS, COLUMNS)                                                                  \
    {                                                                                        \
        VEC acc[ROWS][COLUMNS];                                                              \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) {                                       \
                acc[i][v] = scale * ((const VEC *)(before + i * before_row))[v];             \
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
            UNROLL for (int v = 0; v < COLUMNS; v++)                                         \
                ((VEC *)(C + i * c_row))[v] =                                                \
                    scale * ((const VEC *)(after + i * after_row))[v] + acc[i][v];           \
    }                                                                                        \
    break;

#define UP_TO_6(KIND, COLUMNS)                                                               \
    case 1: KIND(1, COLUMNS) case 2: KIND(2, COLUMNS) case 3: KIND(3, COLUMNS)               \
    case 4: KIND(4, COLUMNS) case 5: KIND(5, COLUMNS) case 6: KIND(6, COLUMNS)
#define UP_TO_12(KIND, COLUMNS) UP_TO_6(KIND, COLUMNS)                                       \
    case 7: KIND(7, COLUMNS) case 8: KIND(8, COLUMNS) case 9: KIND(9, COLUMNS)               \
    case 10: KIND(10, COLUMNS) case 11: KIND(11, COLUMNS) case 12: KIND(12, COLUMNS)

/* The largest tiles whose accumulators, a row of Y and one x fit the registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define MOST_COLUMNS 4 /* 32 registers */
#define MOST_ROWS(columns) ((columns) >= 3 ? 6 : 12)
#define MOST_VECTORS 24
#else
#define MOST_COLUMNS 2 /* 16 registers; widths are whole lines, so 1 is not needed */
#if defined(__clang__) && !defined(__AVX__)
/* Where an instruction overwrites one of its operands, clang keeps some accumulators of a tile of
 * six rows in memory, which takes a fourth more time at [784, 512, 512, 10]. */
#define MOST_ROWS(columns) 5
#else
#define MOST_ROWS(columns) 6
#endif
#define MOST_VECTORS 12
#endif

/* Sums of at most this many terms at a time: a panel of Y then stays in the first cache. */
#define SUM_BLOCK 128

/* From so many rows of C on, a panel of Y whose rows lie so far apart is first copied to one
 * place: half a page apart, they would share a few lines of the first cache. */
#define PACKED_ROWS 32
#define PACKED_BYTES 2048

/* The next of even parts of n, each at most `most`: 13 are 4 + 3 + 3 + 3, not 4 + 4 + 4 + 1. */
static inline int NAME(part)(ptrdiff_t n, ptrdiff_t most)
{
    if (n <= most) return (int)n; /* in small networks divisions are felt */
    const ptrdiff_t parts = (n + most - 1) / most;
    return (int)((n + parts - 1) / parts);
}

/* All tiles of a panel of C, for n terms of the sums. */
static void __attribute__((noinline)) NAME(panel)(
    int columns, int from, int first, ptrdiff_t n_rows, ptrdiff_t n,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, PrefetchQueue *queue)
{
    /* Both are rows to load, of zeros where there is nothing: code for each case in every tile was
     * a third of all code. A single term is added to C at once, and rounded with it. */
    static const VEC zeros[MOST_COLUMNS];
    static const REAL nothing[MOST_COLUMNS * SIZE] __attribute__((aligned(FASTBP_LINE))) = {
        [0 ... MOST_COLUMNS * SIZE - 1] = (REAL)-0.0}; /* -0 stays with it, and with 0 does not */
    const int at_once = from == FROM_C && n == 1;
    const REAL *before =
        !first || at_once ? C : from == FROM_ROW ? row : (const REAL *)zeros;
    const REAL *after = from == FROM_C && !at_once ? C : nothing;
    const ptrdiff_t before_row = !first || at_once ? c_row : 0;
    const ptrdiff_t after_row = from == FROM_C && !at_once ? c_row : 0;
    while (n_rows > 0) {
        const int rows = NAME(part)(n_rows, MOST_ROWS(columns));
        switch (columns) {
#if MOST_COLUMNS == 4
        case 4: switch (rows) { UP_TO_6(TILE, 4) } break;
        case 3: switch (rows) { UP_TO_6(TILE, 3) } break;
        case 2: switch (rows) { UP_TO_12(TILE, 2) } break;
        case 1: switch (rows) { UP_TO_12(TILE, 1) } break;
#else
        case 2: switch (rows) { UP_TO_6(TILE, 2) } break;
#endif
        }
        if (queue) fastbp_prefetch(queue, rows);
        X += rows * x_row;
        C += rows * c_row;
        before += rows * before_row;
        after += rows * after_row;
        n_rows -= rows;
    }
}

/* The same, with the panel of Y copied to one place first. */
static void __attribute__((noinline)) NAME(packed_panel)(
    int columns, int from, int first, ptrdiff_t n_rows, ptrdiff_t n,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, PrefetchQueue *queue)
{
    VEC packed[SUM_BLOCK * MOST_COLUMNS];
    for (ptrdiff_t p = 0; p < n; p++)
        for (int v = 0; v < columns; v++)
            packed[p * columns + v] = ((const VEC *)(Y + p * y_row))[v];
    NAME(panel)(
        columns, from, first, n_rows, n, X, x_row, x_term, (const REAL *)packed,
        columns * SIZE, C, c_row, row, scale, queue);
}

static void NAME(gemm)(
    int from, ptrdiff_t n_rows, ptrdiff_t n_columns, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    REAL *C, ptrdiff_t c_row, const REAL *row, REAL scale, PrefetchQueue *queue)
{
    /* Where C is the start, no part of a sum can wait there for the rest. */
    const ptrdiff_t most = from == FROM_C ? n_terms : SUM_BLOCK;
    const int apart = n_rows >= PACKED_ROWS && y_row * (ptrdiff_t)sizeof(REAL) >= PACKED_BYTES;
    ptrdiff_t left = n_columns / SIZE;
    while (left > 0) {
        const int columns = NAME(part)(left, MOST_COLUMNS);
        ptrdiff_t done = 0;
        do {
            const ptrdiff_t n = n_terms - done < most ? n_terms - done : most;
            (apart && n <= SUM_BLOCK ? NAME(packed_panel) : NAME(panel))(
                columns, from, done == 0, n_rows, n, X + done * x_term, x_row, x_term, Y + done * y_row,
                y_row, C, c_row, row, from == FROM_C ? scale : 1, queue);
            done += n;
        } while (done < n_terms);
        left -= columns;
        Y += columns * SIZE;
        C += columns * SIZE;
        if (from == FROM_ROW) row += columns * SIZE;
    }
}

/* exp(x) - 1 = power (1 + P) - 1, for |x| <= LARGEST; returns P and the power. */
static inline VEC NAME(reduced)(VEC x, VEC *power)
{
    const VEC shifted = x * LOG2_E + ROUND;
    const VEC whole = shifted - ROUND;
    const VEC r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    const VEC r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    (void)r8; /* of float, nothing is left */
    *power = (VEC)(((BITS)shifted + EXPONENT_BIAS) << MANTISSA_BITS);
    return EXP_MINUS_1(r, r2, r4, r8);
}

static inline VEC NAME(choose)(BITS where, VEC yes, VEC no)
{
    return (VEC)(((BITS)yes & where) | ((BITS)no & ~where));
}

static inline VEC NAME(sigmoid_of)(VEC z)
{
    /* Nothing waits for the comparisons but the end. NaN fails both and passes through. */
    VEC power;
    const VEC rest = NAME(reduced)(-z, &power);
    const VEC a = NAME(choose)(z > LARGEST, (VEC){0} + 1, 1 / (1 + (1 + rest) * power));
    return NAME(choose)(z < -LARGEST, (VEC){0}, a);
}

/* exp(x), between the smallest and some largest number; NaN stays. */
static inline VEC NAME(exponential_of)(VEC x)
{
    VEC power;
    x = NAME(choose)(x > LARGEST, (VEC){0} + LARGEST, x);
    x = NAME(choose)(x < -LARGEST, (VEC){0} - LARGEST, x);
    const VEC rest = NAME(reduced)(x, &power);
    return (1 + rest) * power;
}

/* 1 - exp(-a), to full precision for small a. */
static inline VEC NAME(decay_of)(VEC a)
{
    VEC power;
    const VEC x = NAME(choose)(a > LARGEST, (VEC){0} - LARGEST, -a);
    const VEC rest = NAME(reduced)(x, &power);
    return (1 - power) - power * rest;
}

static inline VEC NAME(size_of)(VEC z) { return NAME(choose)(z < 0, -z, z); }

/* (1 - exp(-2 |z|)) / (1 + exp(-2 |z|)), with the sign of z. */
static inline VEC NAME(tanh_of)(VEC z)
{
    const VEC d = NAME(decay_of)(2 * NAME(size_of)(z));
    const VEC a = d / (2 - d);
    return NAME(choose)(z < 0, -a, a);
}

/* ln(1 + exp(z)) = max(z, 0) + ln(1 + u), u = exp(-|z|); with s = u / (2 + u) <= 1/3 that is
 * 2 artanh(s) = 2 s (1 + s^2 / 3 + s^4 / 5 + ...). */
static inline VEC NAME(softplus_of)(VEC z)
{
    const VEC u = NAME(exponential_of)(-NAME(size_of)(z));
    const VEC s = u / (2 + u), s2 = s * s;
    VEC sum = {0};
    UNROLL for (int k = ATANH_TERMS; k > 0; k--) sum = sum * s2 + (REAL)1 / (2 * k + 1);
    return NAME(choose)(z < 0, (VEC){0}, z) + 2 * (s + s * s2 * sum);
}

#define IN_PLACE(FUNCTION)                                                                   \
    static void NAME(FUNCTION)(ptrdiff_t n_rows, ptrdiff_t n, REAL *z, ptrdiff_t row)        \
    {                                                                                        \
        for (; n_rows > 0; n_rows--, z += row)                                               \
            for (ptrdiff_t j = 0; j < n; j += SIZE)                                          \
                *(LOOSE *)(z + j) = NAME(FUNCTION##_of)(*(const LOOSE *)(z + j));            \
    }
IN_PLACE(sigmoid)
IN_PLACE(tanh)
IN_PLACE(softplus)
IN_PLACE(exponential)

static void NAME(times_decay)(ptrdiff_t n, const REAL *a, REAL *delta)
{
    for (ptrdiff_t j = 0; j < n; j += SIZE)
        *(LOOSE *)(delta + j) *= NAME(decay_of)(*(const LOOSE *)(a + j));
}

/* A line is one vector or several; few enough, with the sum and a row, for the registers. */
#define VECTORS (FASTBP_LINE / VECTOR_BYTES)

static inline void NAME(advance)(
    ptrdiff_t n, REAL decay, REAL *W, REAL *bias, const REAL *a, const REAL *d, const REAL *x,
    REAL *z)
{
    VEC step[VECTORS], sum[VECTORS];
    UNROLL for (int u = 0; u < VECTORS; u++) {
        step[u] = ((const VEC *)d)[u];
        sum[u] = (VEC){0};
        if (bias) sum[u] = ((VEC *)bias)[u] += step[u];
    }
    /* Apart, or a compiler may choose which of two products it fuses with the sum. */
    if (decay != 1)
        for (ptrdiff_t i = 0; i < n * VECTORS; i++) ((VEC *)W)[i] *= decay;
    for (ptrdiff_t p = 0; p < n; p++, W += VECTORS * SIZE)
        UNROLL for (int u = 0; u < VECTORS; u++) {
            const VEC w = ((VEC *)W)[u] + a[p] * step[u];
            sum[u] += x[p] * w;
            ((VEC *)W)[u] = w;
        }
    UNROLL for (int u = 0; u < VECTORS; u++) ((VEC *)z)[u] = sum[u];
}

static inline void NAME(sigmoid_line)(const REAL *mask, REAL *z, REAL *slope)
{
    UNROLL for (int u = 0; u < VECTORS; u++) {
        const VEC a = NAME(sigmoid_of)(((VEC *)z)[u]);
        ((VEC *)z)[u] = a;
        ((VEC *)slope)[u] = ((const VEC *)mask)[u] * (a * (1 - a));
    }
}

static inline void NAME(error_line)(const REAL *factor, const REAL *a, REAL *delta)
{
    UNROLL for (int u = 0; u < VECTORS; u++)
        ((VEC *)delta)[u] =
            ((const VEC *)factor)[u] * (((const VEC *)a)[u] - ((const VEC *)delta)[u]);
}

static inline void NAME(times_line)(const REAL *factor, REAL *delta)
{
    UNROLL for (int u = 0; u < VECTORS; u++) {
        const VEC f = ((const VEC *)factor)[u];
        ((VEC *)delta)[u] = NAME(choose)(f != 0, ((VEC *)delta)[u] * f, (VEC){0});
    }
}

#define DOTS_BLOCK (8192 / (ptrdiff_t)sizeof(REAL))

/* ROWS of W times SAMPLES: a vector for each sum. */
#define DOTS(ROWS, SAMPLES)                                                                  \
    {                                                                                        \
        VEC acc[ROWS][SAMPLES], x[SAMPLES];                                                  \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int s = 0; s < SAMPLES; s++) acc[i][s] = (VEC){0};                   \
        for (ptrdiff_t p = 0; p + SIZE <= n; p += SIZE) {                                    \
            UNROLL for (int s = 0; s < SAMPLES; s++) x[s] = *(const LOOSE *)(X + s * x_row + p);\
            UNROLL for (int i = 0; i < ROWS; i++) {                                          \
                const VEC w = *(const LOOSE *)(W + i * w_row + p);                           \
                UNROLL for (int s = 0; s < SAMPLES; s++) acc[i][s] += w * x[s];              \
            }                                                                                \
        }                                                                                    \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int s = 0; s < SAMPLES; s++) sums[i * SAMPLES + s] = acc[i][s];      \
    }                                                                                        \
    break;

/* Tiles whose sides are powers of two: what `piece` cuts rows and columns into. */
#define PIECES_OF(COLUMNS, KIND)                                                             \
    case 40 + COLUMNS: KIND(4, COLUMNS)                                                      \
    case 20 + COLUMNS: KIND(2, COLUMNS)                                                      \
    case 10 + COLUMNS: KIND(1, COLUMNS)
#if MOST_COLUMNS == 4
#define PIECES(KIND) PIECES_OF(4, KIND) PIECES_OF(2, KIND) PIECES_OF(1, KIND)
#else
#define PIECES(KIND) PIECES_OF(2, KIND) PIECES_OF(1, KIND)
#endif

static inline REAL NAME(total)(const VEC *acc)
{
    REAL total = 0;
#if VECTOR_BYTES > 16
    NAME(quarter) part = ((const NAME(quarter) *)acc)[0] + ((const NAME(quarter) *)acc)[1];
#if VECTOR_BYTES > 32
    part += ((const NAME(quarter) *)acc)[2] + ((const NAME(quarter) *)acc)[3];
#endif
#else
    const VEC part = *acc;
#endif
    for (size_t u = 0; u < 16 / sizeof(REAL); u++) total += part[u];
    return total;
}

/* Five samples are as many as 32 registers hold beside four rows, and half of the book's ten. */
#define MOST_SAMPLES (MOST_COLUMNS == 4 ? 5 : 2)

/* rows of W times samples, numbers that DOTS has a case of. */
static void NAME(dots_tile)(
    int rows, int samples, ptrdiff_t n, const REAL *W, ptrdiff_t w_row,
    const REAL *X, ptrdiff_t x_row, const REAL *start, ptrdiff_t start_row, REAL *Z,
    ptrdiff_t z_row)
{
    VEC sums[4 * MOST_SAMPLES];
    switch (10 * rows + samples) {
    case 81: DOTS(8, 1)
#if MOST_COLUMNS == 4
    PIECES_OF(5, DOTS)
    PIECES_OF(4, DOTS)
#endif
    PIECES_OF(2, DOTS)
    PIECES_OF(1, DOTS)
    }
    for (int i = 0; i < rows; i++)
        for (int s = 0; s < samples; s++) {
            REAL total = start[s * start_row + i] + NAME(total)(&sums[i * samples + s]);
            for (ptrdiff_t p = n / SIZE * SIZE; p < n; p++)
                total += W[i * w_row + p] * X[s * x_row + p];
            Z[s * z_row + i] = total;
        }
}

/* The largest of most, most / 2, ... that is not above n. */
static inline int NAME(piece)(ptrdiff_t n, int most)
{
    while (most > n) most /= 2;
    return most;
}

static void NAME(dots)(
    ptrdiff_t n_rows, ptrdiff_t n_samples, ptrdiff_t n, const REAL *W,
    const REAL *X, ptrdiff_t x_row, const REAL *bias, REAL *Z, ptrdiff_t z_row)
{
    /* Even parts of the sums, so short that the rows of a tile stay in the first cache for all
     * samples; half as long, so that the samples do too, 784 doubles took 8 % more. */
    const ptrdiff_t parts = n_samples > 1 ? (n + DOTS_BLOCK - 1) / DOTS_BLOCK : 1;
    const ptrdiff_t part = ((n + parts - 1) / parts + SIZE - 1) / SIZE * SIZE;
    for (ptrdiff_t p = 0; p < n; p += part) {
        const ptrdiff_t now = n - p < part ? n - p : part;
        for (ptrdiff_t i = 0, rows; i < n_rows; i += rows) {
            rows = NAME(piece)(n_rows - i, n_samples == 1 ? 8 : 4);
            for (ptrdiff_t s = 0, samples; s < n_samples; s += samples) {
                REAL *const z = Z + s * z_row + i;
                samples = NAME(part)(n_samples - s, MOST_SAMPLES);
                if (samples == 3) samples = 2; /* a tile less: 1 kB of code */
                NAME(dots_tile)(
                    (int)rows, (int)samples, now, W + i * n + p, n, X + s * x_row + p, x_row,
                    p ? z : bias + i, p ? z_row : 0, z, z_row);
            }
        }
    }
}

/* One tile of C = scale B + X Y, of whole vectors at any address. */
#define COMBINE(ROWS, COLUMNS)                                                               \
    {                                                                                        \
        VEC acc[ROWS][COLUMNS];                                                              \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) {                                       \
                acc[i][v] = (VEC){0};                                                        \
            }                                                                                \
        for (ptrdiff_t p = 0; p < n_terms; p++) {                                            \
            VEC y[COLUMNS];                                                                  \
            UNROLL for (int v = 0; v < COLUMNS; v++)                                         \
                y[v] = *(const LOOSE *)(Y + p * y_row + v * SIZE);                           \
            UNROLL for (int i = 0; i < ROWS; i++) {                                          \
                const REAL x = X[i * x_row + p * x_term];                                    \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[i][v] += x * y[v];              \
            }                                                                                \
        }                                                                                    \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) {                                       \
                if (B) acc[i][v] += scale * *(const LOOSE *)(B + i * c_row + v * SIZE);      \
                *(LOOSE *)(C + i * c_row + v * SIZE) = acc[i][v];                            \
                bad += 0 * acc[i][v];                                                        \
            }                                                                                \
    }                                                                                        \
    break;

/* All rows of as many columns as a tile has. */
static REAL NAME(combine_panel)(
    int columns, ptrdiff_t n_rows, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    const REAL *B, REAL scale, REAL *C, ptrdiff_t c_row)
{
    VEC bad = {0};
    for (int rows; n_rows > 0; n_rows -= rows) {
        rows = NAME(piece)(n_rows, 4);
        switch (10 * rows + columns) {
        PIECES(COMBINE)
        }
        X += rows * x_row;
        if (B) B += rows * c_row;
        C += rows * c_row;
    }
    return NAME(total)(&bad);
}

static REAL NAME(combine)(
    ptrdiff_t n_rows, ptrdiff_t n, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    const REAL *B, REAL scale, REAL *C, ptrdiff_t c_row)
{
    REAL bad = 0;
    if (n < SIZE) {
        for (ptrdiff_t i = 0; i < n_rows; i++)
            for (ptrdiff_t j = 0; j < n; j++) {
                REAL total = 0;
                for (ptrdiff_t p = 0; p < n_terms; p++)
                    total += X[i * x_row + p * x_term] * Y[p * y_row + j];
                if (B) total += scale * B[i * c_row + j];
                C[i * c_row + j] = total;
                bad += 0 * total;
            }
        return bad;
    }
    ptrdiff_t j = 0;
    while (j < n) {
        /* The last vector may take columns again, with the same result. */
        const ptrdiff_t left = (n - j) / SIZE;
        const int columns = left ? NAME(piece)(left, MOST_COLUMNS) : 1;
        if (!left) j = n - SIZE;
        bad += NAME(combine_panel)(
            columns, n_rows, n_terms, X, x_row, x_term, Y + j, y_row, B ? B + j : NULL, scale,
            C + j, c_row);
        j += columns * SIZE;
    }
    return bad;
}

/* SAMPLES times COLUMNS vectors of Z that sum rows of Y; of steps that are added to rows of C. */
#define SUM_LISTED(SAMPLES, COLUMNS)                                                         \
    {                                                                                        \
        VEC acc[SAMPLES][COLUMNS];                                                           \
        UNROLL for (int s = 0; s < SAMPLES; s++)                                             \
            UNROLL for (int v = 0; v < COLUMNS; v++)                                         \
                acc[s][v] = ((const VEC *)row)[v];                                           \
        for (ptrdiff_t p = 0; p < n; p++) {                                                  \
            const VEC *const y = (const VEC *)(Y + which[p] * y_row);                        \
            UNROLL for (int s = 0; s < SAMPLES; s++) {                                       \
                const REAL x = (s ? x_1 : x_0)[which[p]];                                    \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[s][v] += x * y[v];              \
            }                                                                                \
        }                                                                                    \
        UNROLL for (int s = 0; s < SAMPLES; s++)                                             \
            UNROLL for (int v = 0; v < COLUMNS; v++)                                         \
                ((VEC *)(Z + s * z_row))[v] = acc[s][v];                                     \
    }                                                                                        \
    break;

#define ADD_LISTED(SAMPLES, COLUMNS)                                                         \
    {                                                                                        \
        VEC step[SAMPLES][COLUMNS];                                                          \
        UNROLL for (int s = 0; s < SAMPLES; s++)                                             \
            UNROLL for (int v = 0; v < COLUMNS; v++)                                         \
                step[s][v] = ((const VEC *)(D + s * d_row))[v];                              \
        for (p = 0; which[p] < stop; p++) {                                                  \
            VEC *const c = (VEC *)(C + which[p] * c_row);                                    \
            VEC acc[COLUMNS];                                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) acc[v] = c[v];                          \
            UNROLL for (int s = 0; s < SAMPLES; s++) {                                       \
                const REAL x = (s ? x_1 : x_0)[which[p]];                                    \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[v] += x * step[s][v];           \
            }                                                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) c[v] = acc[v];                          \
        }                                                                                    \
    }                                                                                        \
    break;

/* Of every level, widths are whole lines: of 1, 2 or 4 vectors. */
#if VECTOR_BYTES == 64
#define LISTED(KIND, SAMPLES) \
    case 1: KIND(SAMPLES, 1) case 2: KIND(SAMPLES, 2) case 3: KIND(SAMPLES, 3)               \
    case 4: KIND(SAMPLES, 4)
#elif VECTOR_BYTES == 32
#define LISTED(KIND, SAMPLES) case 2: KIND(SAMPLES, 2) case 4: KIND(SAMPLES, 4)
#else
#define LISTED(KIND, SAMPLES) case 4: KIND(SAMPLES, 4)
#endif

/* One tile of ROWS rows of C that are listed: all samples, whether or not their input is 0. */
#define ROWS_TILE(ROWS, COLUMNS)                                                             \
    {                                                                                        \
        VEC acc[ROWS][COLUMNS];                                                              \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) acc[i][v] = (VEC){0};                   \
        for (ptrdiff_t s = 0; s < n; s++) {                                                  \
            const REAL *const x = X[s];                                                      \
            const VEC *const d = (const VEC *)(D + s * d_row);                               \
            UNROLL for (int i = 0; i < ROWS; i++)                                            \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[i][v] += x[which[i]] * d[v];    \
        }                                                                                    \
        UNROLL for (int i = 0; i < ROWS; i++)                                                \
            UNROLL for (int v = 0; v < COLUMNS; v++) {                                       \
                VEC *const c = (VEC *)(C + which[i] * width) + v;                            \
                *c = scale * *c + acc[i][v];                                                 \
            }                                                                                \
    }                                                                                        \
    break;

#define ROWS_LEFT(COLUMNS)                                                                   \
    case 4: ROWS_TILE(4, COLUMNS) case 2: ROWS_TILE(2, COLUMNS) case 1: ROWS_TILE(1, COLUMNS)

/* Wide rows, one by one: of the samples whose input is not 0 alone. */
#define WIDE_ROW(COLUMNS)                                                                    \
    case COLUMNS:                                                                            \
        for (ptrdiff_t w = 0; w < n_words; w++) {                                            \
            const uint32_t *const word = masks + w * FASTBP_MOST_SAMPLES;                             \
            for (uint32_t left = some[w]; left; left &= left - 1) {                          \
                const int bit = fastbp_first(left);                                          \
                VEC *const c = (VEC *)(C + (32 * w + bit) * width);                          \
                VEC acc[COLUMNS];                                                            \
                UNROLL for (int v = 0; v < COLUMNS; v++) acc[v] = (VEC){0};                  \
                for (uint32_t of = fastbp_samples(word, bit); of; of &= of - 1) {            \
                    const int s = fastbp_first(of);                                          \
                    const REAL x = X[s][32 * w + bit];                                       \
                    const VEC *const d = (const VEC *)(D + s * d_row);                       \
                    UNROLL for (int v = 0; v < COLUMNS; v++) acc[v] += x * d[v];             \
                }                                                                            \
                UNROLL for (int v = 0; v < COLUMNS; v++) c[v] = scale * c[v] + acc[v];       \
                if (queue) fastbp_prefetch(queue, 2);                                           \
            }                                                                                \
        }                                                                                    \
        break;

static void NAME(add_wide_rows)(
    ptrdiff_t n_words, const uint32_t *some, const uint32_t *masks, ptrdiff_t width,
    const REAL *const *X, const REAL *D, ptrdiff_t d_row, REAL scale, REAL *C, PrefetchQueue *queue)
{
    ptrdiff_t left = width / SIZE;
    for (int columns; left > 0; left -= columns) {
        columns = NAME(part)(left, MOST_VECTORS > 12 ? 14 : 12);
        switch (columns) {
            WIDE_ROW(1) WIDE_ROW(2) WIDE_ROW(3) WIDE_ROW(4) WIDE_ROW(5) WIDE_ROW(6)
            WIDE_ROW(7) WIDE_ROW(8) WIDE_ROW(9) WIDE_ROW(10) WIDE_ROW(11) WIDE_ROW(12)
#if MOST_VECTORS > 12
            WIDE_ROW(13) WIDE_ROW(14)
#endif
        }
        D += columns * SIZE;
        C += columns * SIZE;
    }
}

static void NAME(add_rows)(
    ptrdiff_t n_words, const uint32_t *some, ptrdiff_t n, ptrdiff_t width,
    const REAL *const *X, const REAL *D, ptrdiff_t d_row, REAL scale, REAL *C, uint16_t *places,
    PrefetchQueue *queue)
{
    const ptrdiff_t left = width / SIZE;
    const uint16_t *which = places;
    ptrdiff_t found = fastbp_list(32 * n_words, some, some, places);
    for (int rows; found > 0; found -= rows, which += rows) {
        /* As many as fit the registers, then what is left by powers of two. */
        rows = MOST_VECTORS / (left > 2 ? 4 : 2);
        if (rows > found) rows = NAME(piece)(found, 8);
        switch (left) {
#if MOST_COLUMNS == 4
        case 1: switch (rows) { case 12: ROWS_TILE(12, 1) case 8: ROWS_TILE(8, 1) ROWS_LEFT(1) } break;
        case 2: switch (rows) { case 12: ROWS_TILE(12, 2) case 8: ROWS_TILE(8, 2) ROWS_LEFT(2) } break;
        case 3: switch (rows) { case 6: ROWS_TILE(6, 3) ROWS_LEFT(3) } break;
        case 4: switch (rows) { case 6: ROWS_TILE(6, 4) ROWS_LEFT(4) } break;
#else
        case 2: switch (rows) { case 6: ROWS_TILE(6, 2) ROWS_LEFT(2) } break;
        case 4: switch (rows) { case 3: ROWS_TILE(3, 4) ROWS_LEFT(4) } break;
#endif
        }
        if (queue) fastbp_prefetch(queue, 2 * rows);
    }
}

static void NAME(sum_listed)(
    ptrdiff_t n_samples, ptrdiff_t n_columns, ptrdiff_t n, const uint16_t *which,
    const REAL *x_0, const REAL *x_1, const REAL *Y, ptrdiff_t y_row, const REAL *row,
    REAL *Z, ptrdiff_t z_row)
{
    for (ptrdiff_t left = n_columns / SIZE, columns; left > 0; left -= columns) {
        columns = left < 4 ? left : 4;
        if (n_samples == 2) switch (columns) { LISTED(SUM_LISTED, 2) }
        else switch (columns) { LISTED(SUM_LISTED, 1) }
        row += columns * SIZE;
        Y += columns * SIZE;
        Z += columns * SIZE;
    }
}

static ptrdiff_t NAME(add_listed)(
    ptrdiff_t n_samples, ptrdiff_t n_columns, ptrdiff_t stop, const uint16_t *which,
    const REAL *x_0, const REAL *x_1, const REAL *D, ptrdiff_t d_row, REAL *C, ptrdiff_t c_row)
{
    ptrdiff_t p = 0;
    for (ptrdiff_t left = n_columns / SIZE, columns; left > 0; left -= columns) {
        columns = left < 4 ? left : 4;
        if (n_samples == 2) switch (columns) { LISTED(ADD_LISTED, 2) }
        else switch (columns) { LISTED(ADD_LISTED, 1) }
        D += columns * SIZE;
        C += columns * SIZE;
    }
    return p;
}

/* Squares of SMALL x SMALL values, turned in registers of 16 bytes. */
#define SMALL ((ptrdiff_t)(16 / sizeof(REAL)))
typedef REAL NAME(small) __attribute__((vector_size(16), may_alias, aligned(sizeof(REAL))));
typedef REAL NAME(lane) __attribute__((vector_size(16)));
#ifdef __clang__
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef INTEGER NAME(places) __attribute__((vector_size(16)));
#define PICK(a, b, ...) __builtin_shuffle(a, b, (NAME(places)){__VA_ARGS__})
#endif

static inline void NAME(turn)(const REAL *source, ptrdiff_t row, REAL *target, ptrdiff_t column)
{
#define ROW(i) (*(const NAME(small) *)(source + (i) * row))
#define COLUMN(j) (*(NAME(small) *)(target + (j) * column))
    const NAME(lane) a = ROW(0), b = ROW(1);
#if MANTISSA_BITS == 23
    const NAME(lane) c = ROW(2), d = ROW(3);
    const NAME(lane) ab = PICK(a, b, 0, 4, 1, 5), cd = PICK(c, d, 0, 4, 1, 5);
    const NAME(lane) ab_2 = PICK(a, b, 2, 6, 3, 7), cd_2 = PICK(c, d, 2, 6, 3, 7);
    COLUMN(0) = PICK(ab, cd, 0, 1, 4, 5);
    COLUMN(1) = PICK(ab, cd, 2, 3, 6, 7);
    COLUMN(2) = PICK(ab_2, cd_2, 0, 1, 4, 5);
    COLUMN(3) = PICK(ab_2, cd_2, 2, 3, 6, 7);
#else
    COLUMN(0) = PICK(a, b, 0, 2);
    COLUMN(1) = PICK(a, b, 1, 3);
#endif
#undef ROW
#undef COLUMN
}

static void NAME(transpose)(
    ptrdiff_t n, ptrdiff_t m, const REAL *source, ptrdiff_t row, REAL *target, ptrdiff_t column)
{
    /* In larger squares, whose lines stay in the first cache until they are used up. */
    enum { LARGE = 32 };
    for (ptrdiff_t j_0 = 0; j_0 < m; j_0 += LARGE)
        for (ptrdiff_t i_0 = 0; i_0 < n; i_0 += LARGE) {
            const ptrdiff_t j_1 = j_0 + LARGE < m ? j_0 + LARGE : m;
            const ptrdiff_t i_1 = i_0 + LARGE < n ? i_0 + LARGE : n;
            const ptrdiff_t j_whole = j_1 - (j_1 - j_0) % SMALL;
            const ptrdiff_t i_whole = i_1 - (i_1 - i_0) % SMALL;
            for (ptrdiff_t j = j_0; j < j_whole; j += SMALL) {
                for (ptrdiff_t i = i_0; i < i_whole; i += SMALL)
                    NAME(turn)(source + i * row + j, row, target + j * column + i, column);
                for (ptrdiff_t i = i_whole; i < i_1; i++)
                    for (ptrdiff_t k = j; k < j + SMALL; k++)
                        target[k * column + i] = source[i * row + k];
            }
            for (ptrdiff_t j = j_whole; j < j_1; j++)
                for (ptrdiff_t i = i_0; i < i_1; i++)
                    target[j * column + i] = source[i * row + j];
        }
}

/* Sums in double also of floats: the squares of large ones are beyond a float. */
typedef double NAME(wide) __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef REAL NAME(narrow) __attribute__((
    vector_size(VECTOR_BYTES / sizeof(double) * sizeof(REAL)), may_alias, aligned(sizeof(REAL))));

static inline NAME(wide) NAME(widened)(const REAL *values)
{
#if defined(__AVX512VL__) && MANTISSA_BITS == 23 /* gcc 12 converts halves */
    return (NAME(wide))_mm512_cvtps_pd(_mm256_loadu_ps(values));
#else
    return __builtin_convertvector(*(const NAME(narrow) *)values, NAME(wide));
#endif
}

static double NAME(squares)(ptrdiff_t n, const REAL *values)
{
    enum { STEP = VECTOR_BYTES / sizeof(double) };
    NAME(wide) sums[4] = {{0}};
    double total = 0;
    ptrdiff_t i = 0;
    for (; i + 4 * STEP <= n; i += 4 * STEP)
        UNROLL for (int v = 0; v < 4; v++) {
            const NAME(wide) x = NAME(widened)(values + i + v * STEP);
            sums[v] += x * x;
        }
    for (; i + STEP <= n; i += STEP) {
        const NAME(wide) x = NAME(widened)(values + i);
        sums[0] += x * x;
    }
    sums[0] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int v = 0; v < STEP; v++) total += sums[0][v];
    for (; i < n; i++) total += (double)values[i] * (double)values[i];
    return total;
}

static void NAME(outer)(
    ptrdiff_t n_rows, ptrdiff_t n, const REAL *d, const REAL *a, REAL *C)
{
    if (n < SIZE) {
        for (ptrdiff_t j = 0; j < n_rows; j++, C += n)
            for (ptrdiff_t k = 0; k < n; k++) C[k] = d[j] * a[k];
        return;
    }
    /* Whole lines all through, each written once: one that two rows share has the end of one
     * and the beginning of the next. The first and the last vector may overlap it. */
    BITS place;
    REAL edge[2 * SIZE];
    for (int v = 0; v < SIZE; v++) {
        place[v] = v;
        edge[v] = a[n - SIZE + v];
        edge[SIZE + v] = a[v];
    }
    ptrdiff_t k = (ptrdiff_t)(-(uintptr_t)C % VECTOR_BYTES / sizeof(REAL));
    *(LOOSE *)C = d[0] * *(const LOOSE *)a;
    for (ptrdiff_t j = 0; j < n_rows; j++, C += n, k -= n) {
        const REAL factor = d[j];
        for (; k + SIZE <= n; k += SIZE) *(LOOSE *)(C + k) = factor * *(const LOOSE *)(a + k);
        if (k < n && j + 1 < n_rows) {
            /* Less 0, not plus: -0 stays. */
            const VEC factors = NAME(choose)(
                place < (INTEGER)(n - k), factor - (VEC){0}, d[j + 1] - (VEC){0});
            *(LOOSE *)(C + k) = factors * *(const LOOSE *)(edge + SIZE - (n - k));
            k += SIZE;
        }
    }
    *(LOOSE *)(C - SIZE) = d[n_rows - 1] * *(const LOOSE *)edge;
}

static int NAME(finite)(ptrdiff_t n, const REAL *values)
{
    VEC bad[4] = {{0}};
    ptrdiff_t i = 0;
    for (; i + 4 * SIZE <= n; i += 4 * SIZE)
        UNROLL for (int v = 0; v < 4; v++) bad[v] += 0 * *(const LOOSE *)(values + i + v * SIZE);
    bad[0] = (bad[0] + bad[1]) + (bad[2] + bad[3]);
    REAL last = NAME(total)(bad);
    for (; i < n; i++) last += 0 * values[i];
    return last == 0;
}

#undef VEC
#undef LOOSE
#undef BITS
#undef SIZE
#undef UNROLL
#undef SMALL
#undef PICK
#undef IN_PLACE
#undef TILE
#undef PIECES
#undef MOST_SAMPLES
#undef SUM_LISTED
#undef ADD_LISTED
#undef LISTED
#undef PIECES_OF
#undef ROWS_LEFT
#undef ROWS_TILE
#undef WIDE_ROW
#undef UP_TO_6
#undef UP_TO_12
#undef DOTS
#undef VECTORS
#undef DOTS_BLOCK
#undef COMBINE
#undef MOST_COLUMNS
#undef MOST_ROWS
#undef MOST_VECTORS
#undef SUM_BLOCK
#undef PACKED_ROWS
#undef PACKED_BYTES
