"""The test suite on a core that gcc's address and undefined-behaviour sanitizers watch."""

from functools import partial

from lanes import workshop

_FLAGS = "-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer"
_FLAGS += " -fno-sanitize-recover=undefined"

# They build cores of their own, which nobody watches.
_LEFT_OUT = {"test_the_tests.py"}

# What must be reported, or nothing is watched: a read behind the end of a buffer.
_CONTROL = """
import numpy as np
from fastbp._dispatch import core
X, order = np.zeros((2, 1)), np.array([0, 10**6])
from fastbp import network
net = network.Network([1, 1])
layout, biases, weights = net._checked()
core.train(layout.pack(biases, weights), layout.empty(), layout.table, layout.scratch(2), 2, X, X,
           order, 0, 2, 0, 0.1, 1.0, 1.0)
"""


def run(options):
    """Run every file of the suite; short: the core tests, on the lowest SIMD level."""
    libraries = " ".join(workshop.library(name) for name in ("libasan.so", "libstdc++.so"))
    workshop.library("libubsan.so")
    environment = {
        "LD_PRELOAD": libraries,
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    with workshop.copied() as folder:
        levels = {"FASTBP_LEVELS": "base"} if options.short else {}
        workshop.build(folder, FASTBP_FLAGS=_FLAGS, **levels)

        def file(name):
            arguments = ["-m", "pytest", "-q", "-s", "-x", "-p", "no:cacheprovider", name]
            if options.short:
                arguments += ["-m", "core"]
            found = workshop.command(folder, arguments, timeout=1800, **environment)
            return "" if found.returncode in (0, 5) else found.stdout  # 5: none is a core test

        def control():
            found = workshop.command(folder, ["-c", _CONTROL], **environment)
            if found.returncode and "AddressSanitizer" in found.stdout:
                return ""
            return f"a read behind the end of a buffer was not reported\n{found.stdout}"

        paths = sorted((folder / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
        checks = {
            f"tests/{path.name}": partial(file, f"tests/{path.name}")
            for path in paths
            if path.name not in _LEFT_OUT
        }
        return workshop.judge(
            {"a control that must be reported": control} | checks, options, workshop.processors()
        )
