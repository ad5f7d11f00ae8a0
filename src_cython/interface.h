/* Numbers that _core.pyx and simd.h have in common. */
#ifndef FASTBP_INTERFACE_H
#define FASTBP_INTERFACE_H

/* Bytes: the rows of blocks start on, and are padded to, lines of this length, which are whole
 * vectors of every level. */
enum { FASTBP_LINE = 64 };

/* Float64 inputs are cut to this in a float32 network, where 1e300 would become infinite;
 * weighted sums of it stay finite, so that it saturates a neuron. */
#define FASTBP_BOUND 1e30

/* The slope of the leaky rectifier below 0. */
#define FASTBP_LEAK 0.01

#endif
