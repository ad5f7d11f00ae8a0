"""Gradients of a network in every form: sums, norms, one for each sample, Hessian products.

Each function takes a network of either book class and data: pairs ``(x, y)`` of columns, a
:class:`fastbp.Dataset`, or two arrays ``(X, Y)`` of rows; targets or labels. Nothing is changed.
The work is done in blocks of samples, with the GIL released, in the network's dtype. Where a user
overrides a part of the network, its ``backprop`` is called instead, a sample at a time. The cost
is that of the samples alone, without weight decay.

Bad input raises ValueError or TypeError, and says what is wrong where.

A vector of all parameters holds the biases of all layers, then the weights of all layers, each
array row by row: the order of ``(nabla_b, nabla_w)``.
"""

from fastbp.gradients.exact import (
    activations,
    clipped_gradient,
    deltas,
    flatten,
    gradient,
    gradient_gram,
    gradient_second_moment,
    hessian_vector_product,
    input_gradient,
    jacobian,
    per_sample_costs,
    per_sample_gradient_norms,
    per_sample_gradients,
    unflatten,
)
from fastbp.gradients.numerical import (
    GradientCheck,
    NumericalGradient,
    check_gradient,
    numerical_gradient,
)

__all__ = [
    "GradientCheck",
    "NumericalGradient",
    "activations",
    "check_gradient",
    "clipped_gradient",
    "deltas",
    "flatten",
    "gradient",
    "gradient_gram",
    "gradient_second_moment",
    "hessian_vector_product",
    "input_gradient",
    "jacobian",
    "numerical_gradient",
    "per_sample_costs",
    "per_sample_gradient_norms",
    "per_sample_gradients",
    "unflatten",
]
