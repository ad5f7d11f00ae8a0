# Which SIMD levels this processor has, the best last; every one has the base.

cdef extern from *:
    """
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    #define FASTBP_HAS(feature) (__builtin_cpu_supports(feature) != 0)
    static int fastbp_has_v3(void) {
        return FASTBP_HAS("avx2") && FASTBP_HAS("fma") && FASTBP_HAS("bmi") && FASTBP_HAS("bmi2");
    }
    static int fastbp_has_v4(void) {
        return fastbp_has_v3() && FASTBP_HAS("avx512f") && FASTBP_HAS("avx512bw")
            && FASTBP_HAS("avx512cd") && FASTBP_HAS("avx512dq") && FASTBP_HAS("avx512vl");
    }
    #else
    static int fastbp_has_v3(void) { return 0; }
    static int fastbp_has_v4(void) { return 0; }
    #endif
    """
    bint has_v3 "fastbp_has_v3"() noexcept
    bint has_v4 "fastbp_has_v4"() noexcept

SUPPORTED = ("base",) + ("x86v3",) * has_v3() + ("x86v4",) * has_v4()
