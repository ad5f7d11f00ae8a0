"""Find mislabelled digits: a wrong label makes the gradient of its sample long.

    python examples/mislabelled_digits.py

Of 1,797 shipped digits 5 % get a wrong label. A network is trained on all of them; then they
are sorted by the norm of their own gradient, and as many looked at as were changed.
"""

import numpy as np

import fastbp

rng = np.random.default_rng(0)
digits = fastbp.datasets.load_digits()
labels = digits.Y.copy()
wrong = rng.choice(len(labels), len(labels) // 20, replace=False)
labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
data = fastbp.Dataset(digits.X, labels)

net = fastbp.network2.Network([64, 30, 10], random_state=0)
net.SGD(data, 20, 10, 0.3, lmbda=1.0, verbose=False)

norms = fastbp.per_sample_gradient_norms(net, data)
suspects = np.argsort(norms)[::-1][: len(wrong)]
found = np.isin(suspects, wrong).sum()
print(f"{len(wrong)} of {len(labels)} labels were changed.")
print(f"Among the {len(suspects)} longest gradients are {found} of them.")
for i in suspects[:5]:
    print(f"  digit {i}: norm {norms[i]:.2f}, labelled {labels[i]}, written as {digits.Y[i]}")
