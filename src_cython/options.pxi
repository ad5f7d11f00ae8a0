# Options of `train` beyond plain gradient descent.

@cython.final
@cython.auto_pickle(False)
cdef class Options:
    """Options of ``train`` beyond plain gradient descent.

    max_norm: to which each sample's gradient is clipped. optimizer: one of OPTIMIZERS. l1, l2,
    alpha: penalties (Rule). beta_1, beta_2, epsilon, epsilon_hat: of the optimizer. moments: one or two
    parameter blocks in one array, or None. dropout: rate of each layer from the input on, or None;
    seed: of dropout. updates, drawn: number of updates and of samples before this epoch. costs (n,)
    or None: OUT the cost of each sample before its update, in the order of the epoch, weighted and
    with penalties, so that their mean over a mini-batch is its cost.
    """

    cdef double max_norm
    cdef Rule rule
    cdef const double[::1] dropout
    cdef uint64_t seed, drawn
    cdef double[::1] costs
    cdef object moments  # of the network's type: a view is made at each entry
    cdef list held

    def __cinit__(
        self, double max_norm, int optimizer, double l1, double l2, double alpha,
        double beta_1, double beta_2, double epsilon, bint epsilon_hat, moments,
        dropout, uint64_t seed, Py_ssize_t updates, uint64_t drawn, costs,
    ):  # fmt: skip
        self.held = []
        hold(dropout, self.held)
        hold(costs, self.held)
        self.max_norm, self.moments = max_norm, moments
        self.rule = Rule(optimizer, l1, l2, alpha, beta_1, beta_2, epsilon, epsilon_hat, updates)
        self.dropout, self.seed, self.drawn, self.costs = dropout, seed, drawn, costs


cdef Options PLAIN_STEPS = Options(
    INFINITY, PLAIN, 0, 0, 0, 0, 0, 0, False, None, None, 0, 0, 0, None
)


cdef inline bint has_dropout(Options options, Py_ssize_t l) noexcept nogil:
    """Whether activations of layer l are dropped."""
    return options is not None and options.dropout is not None and options.dropout[l] > 0


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    """Return 64 bits that look like chance (SplitMix64: Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> 30)) * <uint64_t> 0xbf58476d1ce4e5b9
    x = (x ^ (x >> 27)) * <uint64_t> 0x94d049bb133111eb
    return x ^ (x >> 31)


cdef void apply_dropout(
    Options options,
    const Layer[::1] layers,
    Py_ssize_t l,
    Py_ssize_t position,    # IN      of the first sample in the epoch
    real[:, ::1] a,         # IN/OUT
    real[:, ::1] kept,      # OUT     the activations as they were
    real[:, ::1] factors,   # OUT
    Py_ssize_t first,
    Py_ssize_t n,
) noexcept nogil:
    """Set activations to 0, each with the layer's rate, and scale the others up (Srivastava et
    al., 2014).

    Each is drawn from its own numbers: the same for any block, pause or number of threads.
    """
    cdef uint32_t most = <uint32_t> (options.dropout[l] * 4294967295.0), x, low, high
    cdef real scale = <real> (1 / (1 - options.dropout[l]))
    cdef uint64_t key
    cdef Py_ssize_t s, j, at = layers[l].activation_offset
    for s in range(n):
        key = mixed(
            mixed(options.seed + <uint64_t> l)
            + (options.drawn + <uint64_t> (position + s)) * <uint64_t> 0x9e3779b97f4a7c15
        )
        low, high = <uint32_t> key, <uint32_t> (key >> 32)
        for j in range(layers[l].width):
            # The finaliser of MurmurHash3 (Appleby), 32 bits: it fills vectors.
            x = (low + <uint32_t> j * <uint32_t> 0x9e3779b9) ^ high
            x = (x ^ (x >> 16)) * <uint32_t> 0x85ebca6b
            x = (x ^ (x >> 13)) * <uint32_t> 0xc2b2ae35
            x ^= x >> 16
            factors[first + s, at + j] = scale if x >= most else 0
        for j in range(at, at + layers[l].width):
            kept[first + s, j] = a[first + s, j]
            a[first + s, j] *= factors[first + s, j]
