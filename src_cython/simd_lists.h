/* simd.h's kernels of what is not 0, for one REAL. */

#if defined(__AVX512VL__) && defined(__BMI2__) && !defined(FASTBP_PLAIN)
#define LISTS_OF_VECTORS
#if MANTISSA_BITS == 23
#define OF(operation) _mm512_##operation##_ps
#define SOME(x) _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NEQ_UQ)
#define LANES 16
typedef __m512 NAME(lanes);
#else
#define OF(operation) _mm512_##operation##_pd
#define SOME(x) _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_NEQ_UQ)
#define LANES 8
typedef __m512d NAME(lanes);
#endif
#endif

/* The mask of a row: which of n values are not 0. */
static void NAME(mask)(ptrdiff_t n, const REAL *row, uint32_t *masks)
{
    ptrdiff_t i = 0;
#ifdef LISTS_OF_VECTORS
    for (; i + 32 <= n; i += 32) {
        uint32_t mask = 0;
        for (int v = 0; v < 32 / LANES; v++)
            mask |= (uint32_t)SOME(OF(loadu)(row + i + v * LANES)) << v * LANES;
        masks[i / 32] = mask;
    }
#endif
    for (; i < n; i += 32) {
        uint32_t mask = 0;
        for (ptrdiff_t k = i; k < n && k < i + 32; k++) mask |= (uint32_t)(row[k] != 0) << (k - i);
        masks[i / 32] = mask;
    }
}

static ptrdiff_t NAME(pack_row)(ptrdiff_t n, const REAL *a, char *packed)
{
    uint32_t *const masks = (uint32_t *)packed;
    REAL *const values = (REAL *)(packed + fastbp_mask_bytes(n));
    ptrdiff_t found = 0, i = 0;
#ifdef LISTS_OF_VECTORS
    for (; i + 32 <= n; i += 32) {
        uint32_t mask = 0;
        for (int v = 0; v < 32 / LANES; v++) {
            const NAME(lanes) x = OF(loadu)(a + i + v * LANES);
            const uint32_t now = SOME(x);
            OF(storeu)(values + found, OF(maskz_compress)(now, x));
            found += __builtin_popcount(now);
            mask |= now << v * LANES;
        }
        masks[i / 32] = mask;
    }
#endif
    for (; i < n; i += 32) {
        uint32_t mask = 0;
        for (ptrdiff_t k = i; k < n && k < i + 32; k++) {
            const int some = a[k] != 0;
            mask |= (uint32_t)some << (k - i);
            values[found] = a[k];
            found += some;
        }
        masks[i / 32] = mask;
    }
    return (char *)(values + found) - packed;
}

/* The row that a packed was written from. */
static void NAME(unpack_row)(ptrdiff_t n, const char *packed, REAL *row)
{
    const uint32_t *const masks = (const uint32_t *)packed;
    const REAL *values = (const REAL *)(packed + fastbp_mask_bytes(n));
    ptrdiff_t i = 0;
#ifdef LISTS_OF_VECTORS
    for (; i + 32 <= n; i += 32)
        for (int v = 0; v < 32 / LANES; v++) {
            const uint32_t now = masks[i / 32] >> v * LANES & ((1u << LANES) - 1);
            OF(storeu)(row + i + v * LANES, OF(maskz_expand)(now, OF(loadu)(values)));
            values += __builtin_popcount(now);
        }
#endif
    for (; i < n; i++) {
        const int some = masks[i / 32] >> i % 32 & 1;
        row[i] = some ? *values : 0;
        values += some;
    }
}

#ifdef LISTS_OF_VECTORS
#undef LISTS_OF_VECTORS
#undef OF
#undef SOME
#undef LANES
#endif
