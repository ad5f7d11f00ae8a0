"""A user's program whose mistakes `mypy --strict` must find: a line each, marked."""

import numpy as np

import fastbp
from fastbp import network2, optimizers

net = network2.Network([4, 3, 2], activation="tanh", random_state=0)
X, Y = np.ones((5, 4)), np.zeros((5, 2))
pairs = [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(X, Y, strict=True)]
net.SGD(pairs, 1, 2, 0.1, verbose=False)
net.SGD(fastbp.Dataset(X, Y), 1, 2, 0.1, verbose=False)
history = fastbp.train(net, (X, Y), epochs=1, optimizer=optimizers.Adam(eta=0.01))
nabla_b, nabla_w = fastbp.gradient(net, (X, Y))
print(net.weights[0][0, 0], net.biases[-1].sum(), nabla_w[0].shape, history["cost"][-1])

network2.Network([4, 3, 2], activation="sigmod")  # error
network2.Network([4, 3, 2], output_activation="softmx")  # error
network2.Network([4, 3, 2], initializer="glorott")  # error
network2.Network([4, 3, 2], cost="quadratic")  # error
network2.Network(4)  # error
net.weights["a"]  # error
net.biases[0, 0]  # error
net.wieghts[0]  # error
net.SGD(5, 1, 2, 0.1)  # error
net.SGD(pairs, 1, 2, "0.1")  # error
net.SGD(pairs, 1, 2, 0.1, monitor_evaluation_acuracy=True)  # error
fastbp.train(net, (X, Y), epochs=1, optimizer="adma")  # error
fastbp.train(net, (X, Y), epoch=1)  # error
fastbp.gradient(net, (X, Y), reduction="avg")  # error
fastbp.gradient(net, 5)  # error
