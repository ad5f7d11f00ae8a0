"""What readers do with the book's classes: own costs, momentum, schedules, own functions."""

# ruff: noqa: B905 (nobody writes strict= in such programs)

import copy
import random

import mnist_loader
import network
import network2
import numpy as np

random.seed(12345678)
np.random.seed(12345678)

training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
training_data = training_data[:200]
test_data = test_data[:150]


class CarefulNetwork(network.Network):
    """Minds large errors more, and remembers its best state."""

    def __init__(self, hidden):
        network.Network.__init__(self, [784, hidden, 10])
        self.best, self.best_net = -1, None

    def cost_derivative(self, output_activations, y):
        return (output_activations - y) ** 3

    def evaluate(self, test_data):
        n = super(CarefulNetwork, self).evaluate(test_data)  # noqa: UP008
        if n > self.best:
            self.best, self.best_net = n, None
            self.best_net = copy.deepcopy(self)
        return n


net = CarefulNetwork(12)
net.SGD(training_data, 3, 9, 0.5, test_data)
print("best", net.best, net.best_net.evaluate(test_data), np.sum(net.weights[0] ** 2))


class MomentumNetwork(network2.Network):
    """Takes steps with momentum, at a rate that falls from epoch to epoch."""

    def default_weight_initializer(self):
        network2.Network.default_weight_initializer(self)
        self.velocities = [np.zeros(w.shape) for w in self.weights]
        self.biases = [np.zeros(b.shape) for b in self.biases]

    def update_mini_batch(self, mini_batch, eta, lmbda, n):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in mini_batch:
            delta_b, delta_w = self.backprop(x, y)
            nabla_b = [nb + db for nb, db in zip(nabla_b, delta_b)]
            nabla_w = [nw + dw for nw, dw in zip(nabla_w, delta_w)]
        m = len(mini_batch)
        self.velocities = [
            0.5 * v - eta / m * nw - eta * lmbda / n * w
            for v, nw, w in zip(self.velocities, nabla_w, self.weights)
        ]
        self.weights = [w + v for w, v in zip(self.weights, self.velocities)]
        self.biases = [b - eta / m * nb for b, nb in zip(self.biases, nabla_b)]

    def SGD(self, training_data, epochs, mini_batch_size, eta, *args, **kwargs):
        for epoch in range(epochs):
            print("eta is", eta / 2**epoch)
            network2.Network.SGD(
                self, training_data, 1, mini_batch_size, eta / 2**epoch, *args, **kwargs
            )


net = MomentumNetwork([784, 12, 10])
net.SGD(training_data, 2, 9, 0.1, 1.0, evaluation_data=test_data, monitor_evaluation_accuracy=True)
print("velocity", np.sum(net.velocities[0] ** 2))


class HuberCost:
    """Between the square and the absolute value."""

    def __init__(self, width):
        self.width = width

    def fn(self, a, y):
        return np.sum(self.width**2 * (np.sqrt(1 + ((a - y) / self.width) ** 2) - 1))

    def delta(self, z, a, y):
        slope = (a - y) / np.sqrt(1 + ((a - y) / self.width) ** 2)
        return slope * network2.sigmoid_prime(z)


class LoudCost(network2.CrossEntropyCost):
    """The book's own, but counted in bits."""

    @staticmethod
    def fn(a, y):
        return network2.CrossEntropyCost.fn(a, y) / np.log(2)


for cost in (HuberCost(0.5), LoudCost, LoudCost()):
    net = network2.Network([784, 12, 10], cost=cost)
    net.SGD(training_data, 1, 9, 0.1, lmbda=0.5, monitor_training_cost=True)

# Another neuron for both chapters.
for module in (network, network2):
    module.sigmoid = lambda z: 0.5 + 0.5 * np.tanh(z)
    module.sigmoid_prime = lambda z: 0.5 - 0.5 * np.tanh(z) ** 2
    net = module.Network([784, 12, 10])
    net.SGD(training_data, 1, 9, 0.05)
    print("another neuron", np.sum(net.weights[1] ** 2), np.sum(net.feedforward(test_data[0][0])))
