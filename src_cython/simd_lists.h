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

static ptrdiff_t NAME(list_nonzeros)(
    ptrdiff_t n, const REAL *a, const REAL *b, uint16_t *which, REAL *A, REAL *B)
{
    ptrdiff_t found = 0, i = 0;
#ifdef LISTS_OF_VECTORS
    for (; i + 16 <= n; i += 16) {
        NAME(lanes) x[16 / LANES], y[16 / LANES];
        uint32_t some = 0;
        for (int v = 0; v < 16 / LANES; v++) {
            x[v] = OF(loadu)(a + i + v * LANES);
            y[v] = OF(loadu)(b + i + v * LANES);
            some |= (uint32_t)(SOME(x[v]) | SOME(y[v])) << v * LANES;
        }
        if (!some) continue;
        fastbp_places(some, i, which + found);
        for (int v = 0; v < 16 / LANES; v++) {
            const uint32_t now = some >> v * LANES & ((1u << LANES) - 1);
            OF(storeu)(A + found, OF(maskz_compress)(now, x[v]));
            OF(storeu)(B + found, OF(maskz_compress)(now, y[v]));
            found += __builtin_popcount(now);
        }
    }
#endif
    for (; i < n; i++) {
        const int some = (a[i] != 0) | (b[i] != 0);
        which[found] = (uint16_t)i;
        A[found] = a[i];
        B[found] = b[i];
        found += some;
    }
    which[found] = UINT16_MAX;
    return found;
}

static ptrdiff_t NAME(compress)(ptrdiff_t n, const REAL *a, char *record)
{
    uint32_t *const masks = (uint32_t *)record;
    REAL *const values = (REAL *)(record + fastbp_mask_bytes(n));
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
    return (char *)(values + found) - record;
}

static ptrdiff_t NAME(list_compressed)(
    ptrdiff_t n, const char *a, const char *b, uint16_t *which, REAL *A, REAL *B)
{
    const uint32_t *const a_masks = (const uint32_t *)a, *const b_masks = (const uint32_t *)b;
    const REAL *x = (const REAL *)(a + fastbp_mask_bytes(n));
    const REAL *y = (const REAL *)(b + fastbp_mask_bytes(n));
    ptrdiff_t found = 0;
#ifdef LISTS_OF_VECTORS
    /* Of the places that are listed and have no values yet, which are a's, and b's. */
    uint64_t of_a = 0, of_b = 0;
    ptrdiff_t done = 0;
    for (ptrdiff_t i = 0; i < n; i += 32) {
        const uint32_t some = a_masks[i / 32] | b_masks[i / 32];
        if (!some) continue;
        fastbp_places(some & 0xffff, i, which + found);
        fastbp_places(some >> 16, i + 16, which + found + __builtin_popcount(some & 0xffff));
        of_a |= (uint64_t)_pext_u32(a_masks[i / 32], some) << (found - done);
        of_b |= (uint64_t)_pext_u32(b_masks[i / 32], some) << (found - done);
        found += __builtin_popcount(some);
        for (; found - done >= LANES; done += LANES) {
            const uint32_t now_a = of_a & ((1u << LANES) - 1), now_b = of_b & ((1u << LANES) - 1);
            OF(storeu)(A + done, OF(maskz_expand)(now_a, OF(loadu)(x)));
            OF(storeu)(B + done, OF(maskz_expand)(now_b, OF(loadu)(y)));
            x += __builtin_popcount(now_a);
            y += __builtin_popcount(now_b);
            of_a >>= LANES;
            of_b >>= LANES;
        }
    }
    const uint32_t rest = (1u << (found - done)) - 1;
    OF(mask_storeu)(A + done, rest, OF(maskz_expand)(of_a, OF(loadu)(x)));
    OF(mask_storeu)(B + done, rest, OF(maskz_expand)(of_b, OF(loadu)(y)));
#else
    for (ptrdiff_t i = 0; i < n; i += 32) {
        const uint32_t of_a = a_masks[i / 32], of_b = b_masks[i / 32];
        for (uint32_t some = of_a | of_b; some; some &= some - 1) {
            const int k = fastbp_first(some), in_a = of_a >> k & 1, in_b = of_b >> k & 1;
            const REAL next_x = *x, next_y = *y;
            which[found] = (uint16_t)(i + k);
            A[found] = in_a ? next_x : 0;
            B[found] = in_b ? next_y : 0;
            x += in_a;
            y += in_b;
            found++;
        }
    }
#endif
    which[found] = UINT16_MAX;
    return found;
}

#ifdef LISTS_OF_VECTORS
#undef LISTS_OF_VECTORS
#undef OF
#undef SOME
#undef LANES
#endif
