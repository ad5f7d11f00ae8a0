/* The arithmetic that must fill the vector units, for float and for double.
 *
 *   gemm       C = start + X Y; forward, backward and update are each one call of it
 *   sigmoid    1 / (1 + exp(-z)), by a polynomial of our own
 *   dots       Z = bias + X W^T      } the same for few samples on the public arrays, of any
 *   combine    C = scale B + X Y     } shape and alignment, which need no packing then
 *
 * gemm(from, n_rows, n_columns, n_terms, X, x_row, x_term, Y, y_row, C, c_row, row, scale,
 * queue) computes, for i < n_rows and j < n_columns,
 *
 *   C[i c_row + j] = start + sum over p < n_terms of X[i x_row + p x_term] Y[p y_row + j]
 *
 * where start is 0 (FROM_ZERO), row[j] (FROM_ROW) or scale * C[i c_row + j] (FROM_C). The sum starts
 * from the row, but scale * C is added last, unless there is only one term: a weight is rounded once
 * per update, however many terms the sum has, and tiny updates are not lost.
 * n_columns is a multiple of a cache line, 64 bytes, to which Y, C and row are aligned.
 * sigmoid(n_rows, n, z, row) works in place on n values of each row, whole vectors at any address.
 *
 * queue, if not NULL, names rows that are read next. They are prefetched bit by bit while tiles are
 * computed: the samples of the next mini-batch may be anywhere in memory, and waiting for them took
 * a fifth of the time at 784-30-10.
 *
 * dots(n_rows, n_samples, n, W, X, x_row, bias, Z, z_row) computes, for i < n_rows and
 * s < n_samples,
 *
 *   Z[s z_row + i] = bias[i] + sum over p < n of W[i n + p] X[s x_row + p]
 *
 * combine(n_rows, n, n_terms, X, x_row, x_term, Y, y_row, B, scale, C, c_row) computes, for
 * i < n_rows and j < n,
 *
 *   C[i c_row + j] = scale B[i c_row + j]    (added last, as above)
 *                    + sum over p < n_terms of X[i x_row + p x_term] Y[p y_row + j]
 *
 * without the first term if B is NULL, and returns 0 if all of C is finite, else NaN. C overlaps
 * no operand: columns may be computed twice.
 *
 * For inputs most of which are 0 (packed_inputs.pxi): mask(n, row, masks) writes a bit for each of n
 * values, whether it is not 0. pack_row(n, row, packed) writes these bits, then the values that are
 * not 0, and returns the number of bytes; there must be room for all values. unpack_row(n, packed,
 * row) is the inverse, and may read a cache line past the end. For the k-th input listed,
 * p = which[k], and 1 or 2 samples x_0 and x_1,
 *
 *   sum_listed(n_samples, n_columns, n, which, x_0, x_1, Y, y_row, row, Z, z_row) sums
 *   x_s[p] Y[p y_row + j], and row[j], to Z[s z_row + j], and
 *   add_listed(n_samples, n_columns, stop, which, x_0, x_1, D, d_row, C, c_row) adds
 *   x_s[p] D[s d_row + j] to C[p c_row + j] for each p < stop, and returns the number of these.
 *
 * add_rows(n_words, some, n, width, X, D, scale, C, places, queue) computes
 *
 *   C[p width + j] = scale C[p width + j] + sum over s < n of X[s][p] D[s width + j]
 *
 * for each p in the mask `some`; places has room for their number + 16. add_wide_rows(n_words,
 * some, masks, width, X, D, scale, C, queue) sums only samples s whose masks have p: for each 32
 * inputs, masks has a word of each of FASTBP_MOST_SAMPLES samples.
 *
 * Columns and alignment are those of gemm, and so is the order of sums: the same bits. Two
 * samples share the loads and stores of the rows that both need.
 *
 * tanh, softplus (ln(1 + exp z)) and exponential work in place like sigmoid;
 * times_decay(n, a, delta) multiplies delta by 1 - exp(-a).
 *
 * Of single lines, aligned (one_line_layers.pxi): advance(n, decay, W, bias, a, d, x, z) replaces
 * n rows of W by decay W + a d^T and bias, if not NULL, by bias + d, and sets z to that bias, or 0,
 * + x W; sigmoid_line(mask, z, slope) replaces z by its sigmoid and sets slope to its derivative
 * times the mask; error_line(factor, a, delta) replaces delta by factor (a - delta); times_line(factor,
 * delta) multiplies delta; a factor of 0, as in the padding, leaves 0 of what overflowed too.
 *
 * transpose(n, m, source, row, target, column) copies n rows of m values, `row` apart, to m rows
 * of n values, `column` apart.
 *
 * outer(n_rows, n, d, a, C) computes C[j n + k] = d[j] a[k], for C at any address.
 *
 * finite(n, values) is whether all of any n values are; squares(n, values) the sum of their
 * squares, in double.
 *
 * With gcc and clang these are written in vector types, simd_vector.h: plain loops were
 * up to three times as slow, as the compiler then keeps only some shapes of tile in
 * registers. simd_plain.h is the same in plain loops, for other compilers and for
 * FASTBP_PLAIN builds, which tests use. simd_lists.h is in plain loops, and in AVX-512 where
 * there is that.
 */
#ifndef FASTBP_SIMD_H
#define FASTBP_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512VL__
#include <immintrin.h>
#endif

#include "interface.h"

enum { FROM_ZERO, FROM_ROW, FROM_C };

/* The most samples that add_rows and add_wide_rows take. */
enum { FASTBP_MOST_SAMPLES = 16 };


typedef struct {
    const char *rows;        /* address of row 0 */
    const ptrdiff_t *starts; /* byte offset of each row; NULL: contiguous rows of `bytes` each */
    ptrdiff_t bytes;         /* to prefetch of each row */
    const ptrdiff_t *which;  /* indices of the rows to prefetch */
    ptrdiff_t n;             /* their number */
    ptrdiff_t done;          /* bytes of the first of them that have been prefetched */
    int lines;               /* cache lines to prefetch for every eight rows of a tile */
} PrefetchQueue;

#ifdef __GNUC__
#define FASTBP_PREFETCH(address) __builtin_prefetch(address, 0, 2)
#else
#define FASTBP_PREFETCH(address) ((void)(address))
#endif

/* Subnormal numbers count as 0 while a kernel runs, in its thread only: arithmetic on them is a
 * hundred times slower, and inputs, weights or errors may be full of them. */
#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
typedef unsigned fastbp_mode;
static inline fastbp_mode fastbp_flush_subnormals(void)
{
    const fastbp_mode before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* results, operands */
    return before;
}
static inline void fastbp_restore(fastbp_mode before) { _mm_setcsr(before); }
#elif defined(__GNUC__) && defined(__aarch64__)
typedef uint64_t fastbp_mode;
static inline fastbp_mode fastbp_flush_subnormals(void)
{
    fastbp_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1u << 24)));
    return before;
}
static inline void fastbp_restore(fastbp_mode before)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
}
#else
typedef int fastbp_mode;
static inline fastbp_mode fastbp_flush_subnormals(void) { return 0; }
static inline void fastbp_restore(fastbp_mode before) { (void)before; }
#endif

/* gcc removes a function that only prefetches, unless it is inlined at once. */
#ifdef __GNUC__
__attribute__((always_inline))
#endif
static inline void fastbp_prefetch_row(const void *row, ptrdiff_t bytes)
{
    for (ptrdiff_t done = 0; done < bytes; done += FASTBP_LINE)
        FASTBP_PREFETCH((const char *)row + done);
}

static inline void fastbp_prefetch_lines(PrefetchQueue *queue, int lines)
{
    ptrdiff_t left = lines * FASTBP_LINE;
    while (left > 0 && queue->n > 0) {
        const ptrdiff_t which = *queue->which;
        const char *const row =
            queue->rows + (queue->starts ? queue->starts[which] : which * queue->bytes);
        ptrdiff_t done = queue->done;
        const ptrdiff_t end = left < queue->bytes - done ? done + left : queue->bytes;
        left -= end - done;
        for (; done < end; done += FASTBP_LINE) FASTBP_PREFETCH(row + done);
        queue->done = done;
        if (done >= queue->bytes) {
            queue->done = 0;
            queue->which++;
            queue->n--;
        }
    }
}

static inline void fastbp_prefetch(PrefetchQueue *queue, int rows)
{
    fastbp_prefetch_lines(queue, (rows * queue->lines + 7) / 8);
}

#if defined(__GNUC__) && !defined(FASTBP_PLAIN)
#define FASTBP_KERNELS "simd_vector.h"
enum { FASTBP_PLAIN_LOOPS = 0 };
#else
#define FASTBP_KERNELS "simd_plain.h"
enum { FASTBP_PLAIN_LOOPS = 1 }; /* in gemm.pxi and packed_inputs.pxi */
#define gemm_float(...) ((void)0)
#define gemm_double(...) ((void)0)
#define sum_listed_float(...) ((void)0)
#define sum_listed_double(...) ((void)0)
#endif

/* Masks of n places, 32 in each, in whole values. */
static inline ptrdiff_t fastbp_mask_bytes(ptrdiff_t n) { return (n + 63) / 64 * 8; }

/* The first place that a mask has; it has one. */
static inline int fastbp_first(uint32_t mask)
{
#ifdef __GNUC__
    return __builtin_ctz(mask);
#else
    int place = 0;
    while (!(mask >> place & 1)) place++;
    return place;
#endif
}

#ifdef __AVX512VL__
/* Write the places of 16, from the first on, that the mask has. */
static inline void fastbp_places(uint32_t mask, ptrdiff_t first, uint16_t *which)
{
    const __m512i sixteen = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i places = _mm512_add_epi32(sixteen, _mm512_set1_epi32((int)first));
    _mm256_storeu_si256(
        (__m256i *)which,
        _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32((__mmask16)mask, places)));
}
#endif

/* Write the indices of the mask's bits, counted from `first`; return their number. Up to sixteen
 * more are written past them. */
static inline ptrdiff_t fastbp_list_word(uint32_t mask, ptrdiff_t first, uint16_t *which)
{
    ptrdiff_t found = 0;
#ifdef __AVX512VL__
    if (!mask) return 0;
    fastbp_places(mask & 0xffff, first, which);
    found = __builtin_popcount(mask & 0xffff);
    fastbp_places(mask >> 16, first + 16, which + found);
    found += __builtin_popcount(mask >> 16);
#else
    for (; mask; mask &= mask - 1) which[found++] = (uint16_t)(first + fastbp_first(mask));
#endif
    return found;
}

/* Write the places below n that either mask has, and 2^16 - 1 after these; return how many. */
static ptrdiff_t fastbp_list(ptrdiff_t n, const uint32_t *a, const uint32_t *b, uint16_t *which)
{
    ptrdiff_t found = 0;
    for (ptrdiff_t i = 0; i < n; i += 32)
        found += fastbp_list_word(a[i / 32] | b[i / 32], i, which + found);
    which[found] = UINT16_MAX;
    return found;
}

/* A bit for each of FASTBP_MOST_SAMPLES samples: whether its mask of 32 inputs has this bit. */
static inline uint32_t fastbp_samples(const uint32_t *masks, int bit)
{
#ifdef __AVX512VL__
    return _mm512_test_epi32_mask(_mm512_loadu_si512(masks), _mm512_set1_epi32(1 << bit));
#else
    uint32_t samples = 0;
    for (int s = 0; s < FASTBP_MOST_SAMPLES; s++) samples |= (masks[s] >> bit & 1) << s;
    return samples;
#endif
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

/* exp(x) = 2^n exp(r), x = n ln 2 + r, |r| <= ln(2) / 2 (Cody and Waite, 1980). LN2_HIGH has
 * so many trailing zeros that n LN2_HIGH is exact. exp(r) is its Taylor polynomial: at
 * |r| = 0.347 the first term left out, r^14 / 14! (r^8 / 8!), is 4e-18 (5e-9). ROUND, 1.5 2^52
 * (2^23), added to a small number leaves its nearest integer in the last bits. Beyond LARGEST
 * the sigmoid of -x would be subnormal; it is stored as 0. */
#define REAL double
#define INTEGER int64_t
#define NAME(name) JOIN(name, _double)
#define ROUND 0x1.8p52
#define LOG2_E 0x1.71547652b82fep0
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LARGEST 708.396
#define EXPONENT_BIAS 1023
#define MANTISSA_BITS 52
/* 1 + (r + r^2 (1/2! + r/3! + ...)), in pairs (Estrin, 1960): half the steps of Horner's rule
 * wait for one another, and the sum of small terms meets 1 last. */
#define EXP_MINUS_1(r, r2, r4, r8)                                                           \
    (r + r2 * (((1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120)))          \
    + r4 * ((1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880)))        \
    + r8 * ((1.0 / 3628800 + r * (1.0 / 39916800))                                           \
    + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800)))))
#define ATANH_TERMS 17
#include FASTBP_KERNELS
#include "simd_lists.h"
#undef REAL
#undef INTEGER
#undef NAME
#undef ROUND
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef LARGEST
#undef EXPONENT_BIAS
#undef MANTISSA_BITS
#undef EXP_MINUS_1
#undef ATANH_TERMS

#define REAL float
#define INTEGER int32_t
#define NAME(name) JOIN(name, _float)
#define ROUND 0x1.8p23f
#define LOG2_E 0x1.715476p0f
#define LN2_HIGH 0x1.62e000p-1f
#define LN2_LOW 0x1.0bfbe8p-15f
#define LARGEST 87.3365f
#define EXPONENT_BIAS 127
#define MANTISSA_BITS 23
#define EXP_MINUS_1(r, r2, r4, r8)                                                           \
    (r + r2 * (((1.0f / 2 + r * (1.0f / 6)) + r2 * (1.0f / 24 + r * (1.0f / 120)))      \
    + r4 * (1.0f / 720 + r * (1.0f / 5040))))
#define ATANH_TERMS 8
#include FASTBP_KERNELS
#include "simd_lists.h"
#undef REAL
#undef INTEGER
#undef NAME

#endif
