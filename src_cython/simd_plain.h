/* simd.h's kernels for one REAL, in plain loops: the portable twin of simd_vector.h. */

#define VECTOR_BYTES 16 /* as the compiler makes of loops */

static void NAME(sigmoid)(ptrdiff_t n_rows, ptrdiff_t n, REAL *z, ptrdiff_t row)
{
    for (; n_rows > 0; n_rows--, z += row)
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL x = -z[i], power;
        const int large = x > LARGEST, small = x < -LARGEST;
        x = large ? 0 : small ? -LARGEST : x;
        const REAL shifted = x * LOG2_E + ROUND;
        const REAL whole = shifted - ROUND;
        const REAL r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
        const REAL r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
        (void)r8; /* of float, nothing is left */
        INTEGER bits;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (INTEGER)((((sizeof bits == 8) ? (uint64_t)bits : (uint32_t)bits)
                          + EXPONENT_BIAS) << MANTISSA_BITS);
        memcpy(&power, &bits, sizeof power);
        z[i] = large ? 0 : 1 / (1 + (1 + EXP_MINUS_1(r, r2, r4, r8)) * power);
    }
}

enum { NAME(LINE) = FASTBP_LINE / sizeof(REAL) };

static inline void NAME(sigmoid_line)(const REAL *mask, REAL *z, REAL *slope)
{
    NAME(sigmoid)(1, NAME(LINE), z, 0);
    for (ptrdiff_t j = 0; j < NAME(LINE); j++) slope[j] = mask[j] * (z[j] * (1 - z[j]));
}

static inline void NAME(error_line)(const REAL *factor, const REAL *a, REAL *delta)
{
    for (ptrdiff_t j = 0; j < NAME(LINE); j++) delta[j] = factor[j] * (a[j] - delta[j]);
}

static inline void NAME(times_line)(const REAL *factor, REAL *delta)
{
    for (ptrdiff_t j = 0; j < NAME(LINE); j++)
        delta[j] = factor[j] != 0 ? delta[j] * factor[j] : 0;
}

static inline void NAME(advance)(
    ptrdiff_t n, REAL decay, REAL *W, REAL *bias, const REAL *a, const REAL *d, const REAL *x,
    REAL *z)
{
    for (ptrdiff_t j = 0; j < NAME(LINE); j++) z[j] = bias ? bias[j] += d[j] : 0;
    if (decay != 1)
        for (ptrdiff_t i = 0; i < n * NAME(LINE); i++) W[i] *= decay;
    for (ptrdiff_t p = 0; p < n; p++, W += NAME(LINE))
        for (ptrdiff_t j = 0; j < NAME(LINE); j++) {
            W[j] += a[p] * d[j];
            z[j] += x[p] * W[j];
        }
}

static ptrdiff_t NAME(add_listed)(
    ptrdiff_t n_samples, ptrdiff_t n_columns, ptrdiff_t stop, const uint16_t *which,
    const REAL *x_0, const REAL *x_1, const REAL *D, ptrdiff_t d_row, REAL *C, ptrdiff_t c_row)
{
    ptrdiff_t p = 0;
    for (; which[p] < stop; p++)
        for (ptrdiff_t s = 0; s < n_samples; s++)
            for (ptrdiff_t j = 0; j < n_columns; j++)
                C[which[p] * c_row + j] += (s ? x_1 : x_0)[which[p]] * D[s * d_row + j];
    return p;
}

static void NAME(add_rows)(
    ptrdiff_t n_words, const uint32_t *some, ptrdiff_t n, ptrdiff_t width,
    const REAL *const *X, const REAL *D, ptrdiff_t d_row, REAL scale, REAL *C, uint16_t *places,
    PrefetchQueue *queue)
{
    (void)places, (void)queue;
    for (ptrdiff_t p = 0; p < 32 * n_words; p++) {
        if (!(some[p / 32] >> p % 32 & 1)) continue;
        for (ptrdiff_t j_0 = 0; j_0 < width; j_0 += NAME(LINE)) {
            REAL *const c = C + p * width + j_0, sums[NAME(LINE)] = {0};
            for (ptrdiff_t s = 0; s < n; s++)
                for (ptrdiff_t j = 0; j < NAME(LINE); j++)
                    sums[j] += X[s][p] * D[s * d_row + j_0 + j];
            for (ptrdiff_t j = 0; j < NAME(LINE); j++) c[j] = sums[j] + scale * c[j];
        }
    }
}

static void NAME(add_wide_rows)(
    ptrdiff_t n_words, const uint32_t *some, const uint32_t *masks, ptrdiff_t width,
    const REAL *const *X, const REAL *D, ptrdiff_t d_row, REAL scale, REAL *C, PrefetchQueue *queue)
{
    for (ptrdiff_t p = 0; p < 32 * n_words; p++) {
        const uint32_t of = fastbp_samples(masks + p / 32 * FASTBP_MOST_SAMPLES, (int)(p % 32));
        if (!(some[p / 32] >> p % 32 & 1)) continue;
        for (ptrdiff_t j_0 = 0; j_0 < width; j_0 += NAME(LINE)) {
            REAL *const c = C + p * width + j_0, sums[NAME(LINE)] = {0};
            for (uint32_t left = of; left; left &= left - 1) {
                const int s = fastbp_first(left);
                for (ptrdiff_t j = 0; j < NAME(LINE); j++)
                    sums[j] += X[s][p] * D[s * d_row + j_0 + j];
            }
            for (ptrdiff_t j = 0; j < NAME(LINE); j++) c[j] = sums[j] + scale * c[j];
        }
    }
    (void)queue;
}

/* What is not on the way of a sigmoid network is the C library's. */
#define IN_PLACE(FUNCTION, VALUE)                                                            \
    static void NAME(FUNCTION)(ptrdiff_t n_rows, ptrdiff_t n, REAL *values, ptrdiff_t row)   \
    {                                                                                        \
        for (; n_rows > 0; n_rows--, values += row)                                          \
        for (ptrdiff_t i = 0; i < n; i++) {                                                  \
            const double z = values[i], u = exp(-fabs(z));                                   \
            (void)u;                                                                         \
            values[i] = (REAL)(VALUE);                                                       \
        }                                                                                    \
    }
IN_PLACE(tanh, tanh(z))
IN_PLACE(softplus, (z < 0 ? 0 : z) + log1p(u))
IN_PLACE(exponential, exp(z > LARGEST ? LARGEST : z < -LARGEST ? -LARGEST : z))

static void NAME(times_decay)(ptrdiff_t n, const REAL *a, REAL *delta)
{
    for (ptrdiff_t j = 0; j < n; j++) delta[j] *= (REAL)-expm1(-(double)a[j]);
}

static void NAME(dots)(
    ptrdiff_t n_rows, ptrdiff_t n_samples, ptrdiff_t n, const REAL *W,
    const REAL *X, ptrdiff_t x_row, const REAL *bias, REAL *Z, ptrdiff_t z_row)
{
    for (ptrdiff_t i = 0; i < n_rows; i++)
        for (ptrdiff_t s = 0; s < n_samples; s++) {
            REAL total = 0;
            for (ptrdiff_t p = 0; p < n; p++) total += W[i * n + p] * X[s * x_row + p];
            Z[s * z_row + i] = total + bias[i];
        }
}

static REAL NAME(combine)(
    ptrdiff_t n_rows, ptrdiff_t n, ptrdiff_t n_terms,
    const REAL *X, ptrdiff_t x_row, ptrdiff_t x_term, const REAL *Y, ptrdiff_t y_row,
    const REAL *B, REAL scale, REAL *C, ptrdiff_t c_row)
{
    REAL bad = 0;
    for (ptrdiff_t i = 0; i < n_rows; i++) {
        REAL *const c = C + i * c_row;
        for (ptrdiff_t j = 0; j < n; j++) c[j] = 0;
        for (ptrdiff_t p = 0; p < n_terms; p++) {
            const REAL x = X[i * x_row + p * x_term];
            for (ptrdiff_t j = 0; j < n; j++) c[j] += x * Y[p * y_row + j];
        }
        for (ptrdiff_t j = 0; j < n; j++) {
            if (B) c[j] += scale * B[i * c_row + j];
            bad += 0 * c[j];
        }
    }
    return bad;
}

static void NAME(transpose)(
    ptrdiff_t n, ptrdiff_t m, const REAL *source, ptrdiff_t row, REAL *target, ptrdiff_t column)
{
    enum { LARGE = 32 }; /* squares whose lines stay in the first cache */
    for (ptrdiff_t j_0 = 0; j_0 < m; j_0 += LARGE)
        for (ptrdiff_t i_0 = 0; i_0 < n; i_0 += LARGE)
            for (ptrdiff_t j = j_0; j < m && j < j_0 + LARGE; j++)
                for (ptrdiff_t i = i_0; i < n && i < i_0 + LARGE; i++)
                    target[j * column + i] = source[i * row + j];
}

static double NAME(squares)(ptrdiff_t n, const REAL *values)
{
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i++) total += (double)values[i] * (double)values[i];
    return total;
}

static void NAME(outer)(
    ptrdiff_t n_rows, ptrdiff_t n, const REAL *d, const REAL *a, REAL *C)
{
    for (ptrdiff_t j = 0; j < n_rows; j++)
        for (ptrdiff_t k = 0; k < n; k++) C[j * n + k] = d[j] * a[k];
}

static int NAME(finite)(ptrdiff_t n, const REAL *values)
{
    REAL bad = 0;
    for (ptrdiff_t i = 0; i < n; i++) bad += 0 * values[i];
    return bad == 0;
}

#undef IN_PLACE
