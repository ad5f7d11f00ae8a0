"""The vanishing gradient of chapter 5: early layers learn slowly.

    python examples/vanishing_gradient.py

The chapter measures how fast a layer learns by the length of the cost's gradient by its biases,
at the start: here for networks with 2, 3 and 4 hidden layers of 30 neurons, on 1,000 digits.
"""

import numpy as np

import fastbp

digits = fastbp.datasets.load_digits()[:1000]
print("length of the gradient by the biases, layer by layer")
for hidden in (2, 3, 4):
    net = fastbp.network2.Network([64, *[30] * hidden, 10], random_state=0)
    nabla_b, _ = fastbp.gradient(net, digits)
    speeds = [np.linalg.norm(b) for b in nabla_b[:-1]]
    print(f"{hidden} hidden layers: " + "  ".join(f"{speed:.5f}" for speed in speeds))
    print(f"  the first learns {speeds[-1] / speeds[0]:.0f} times slower than the last")
