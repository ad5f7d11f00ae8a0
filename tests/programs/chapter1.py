"""Learn the digits as in chapter 1, then look at the gradient of chapter 2."""

# ruff: noqa: B905 (nobody writes strict= in such programs)

import pickle
import random

import mnist_loader
import network
import numpy as np

random.seed(12345678)
np.random.seed(12345678)

training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
training_data = training_data[:600]
test_data = test_data[:300]
print(len(training_data), "images to learn from,", len(test_data), "to test on")

net = network.Network([784, 30, 10])
net.SGD(training_data, 3, 10, 0.5, test_data=test_data)
net.SGD(training_data[:55], 2, 10, 0.5)  # the last mini-batch is a short one

# Which digits does it not know yet?
wrong = {}
for x, y in test_data:
    if np.argmax(net.feedforward(x)) != y:
        wrong[int(y)] = wrong.get(int(y), 0) + 1
for digit in sorted(wrong):
    print("wrong about the", digit, wrong[digit], "times")

# All images at once, one in each column.
outputs = net.feedforward(np.hstack([x for x, y in test_data]))
right = sum(int(guess == y) for guess, (x, y) in zip(np.argmax(outputs, axis=0), test_data))
print(right, "right at once,", net.evaluate(test_data), "one by one")

# A layer by itself, with the module's own function.
hidden = network.sigmoid(np.dot(net.weights[0], test_data[0][0]) + net.biases[0])
print("a hidden neuron is at", hidden[3, 0], "with slope", network.sigmoid_prime(0.5))

# Backpropagation against a small change of one weight.
x, y = training_data[0]
nabla_b, nabla_w = net.backprop(x, y)


def cost():
    return 0.5 * np.sum((net.feedforward(x) - y) ** 2)


epsilon = 1e-5
net.weights[1][3, 7] += epsilon
above = cost()
net.weights[1][3, 7] -= 2 * epsilon
below = cost()
net.weights[1][3, 7] += epsilon
print("gradient is right:", abs((above - below) / (2 * epsilon) - nabla_w[1][3, 7]) < 1e-8)

# One step by hand, on the ten images after that.
before = cost()
net.update_mini_batch(training_data[1:11], 0.25)
print("cost went from", before, "to", cost())

with open("net.pkl", "wb") as f:
    pickle.dump(net, f)
with open("net.pkl", "rb") as f:
    old_net = pickle.load(f)
print("after pickling", old_net.evaluate(test_data), "of", len(test_data), old_net.sizes)

for l, (b, w) in enumerate(zip(net.biases, net.weights)):
    print("layer", l + 1, "of", net.num_layers - 1, b.shape, w.shape, np.sum(w**2), np.sum(b**2))
