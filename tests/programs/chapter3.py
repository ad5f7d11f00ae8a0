"""Learn the digits as in chapter 3: better costs and starts, decay, curves, files."""

import json
import random

import mnist_loader
import network2
import numpy as np

random.seed(12345678)
np.random.seed(12345678)

training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
training_data = training_data[:400]
validation_data = validation_data[:200]


def show(name, values):
    print(name, " ".join(str(value) for value in values))


net = network2.Network([784, 30, 10], cost=network2.CrossEntropyCost)
curves = net.SGD(
    training_data,
    3,
    10,
    0.1,
    lmbda=5.0,
    evaluation_data=validation_data,
    monitor_evaluation_cost=True,
    monitor_evaluation_accuracy=True,
    monitor_training_cost=True,
    monitor_training_accuracy=True,
)
evaluation_cost, evaluation_accuracy, training_cost, training_accuracy = curves
show("validation cost", evaluation_cost)
show("validation accuracy", evaluation_accuracy)
show("training cost", training_cost)
show("training accuracy", training_accuracy)

# The same network from the old start.
net.large_weight_initializer()
net.SGD(training_data, 2, 10, 0.1, 5.0, validation_data, monitor_evaluation_accuracy=True)
net.save("cross_entropy.json")

# The other cost; stop when nothing gets better, but not later than after eight epochs.
net = network2.Network([784, 15, 10], cost=network2.QuadraticCost)
vc, va, tc, ta = net.SGD(
    training_data[:100], 8, 7, 0.01, 0.1, validation_data, False, True, False, False, 2
)
print("stopped after", len(va), "epochs; other curves", vc, tc, ta)
net.save("quadratic.json")

for name in ("cross_entropy.json", "quadratic.json"):
    with open(name) as f:
        data = json.load(f)
    print(name, sorted(data), data["sizes"], data["cost"])
    net = network2.load(name)
    print("accuracy", net.accuracy(test_data[:200]), net.accuracy(training_data, convert=True))
    print("cost", net.total_cost(training_data, 5.0))
    print("cost", net.total_cost(test_data[:200], 5.0, convert=True))
    net.SGD(training_data, 1, 10, 0.1, monitor_training_cost=True)

# The costs by themselves.
a, y = np.array([[0.2], [0.7]]), np.array([[0.0], [1.0]])
for cost in (network2.QuadraticCost, network2.CrossEntropyCost):
    print(cost.__name__, cost.fn(a, y), cost.delta(np.log(a / (1 - a)), a, y).ravel())
print(network2.vectorized_result(3).T)
