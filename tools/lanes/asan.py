"""The test suite on a core that gcc's address and undefined-behaviour sanitizers watch."""

from functools import partial
from pathlib import Path

from lanes import workshop

_FLAGS = "-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer"
_FLAGS += " -fno-sanitize-recover=undefined"

# What user code changes in the midst of a call is tried on each SIMD level.
_ON_EACH_LEVEL = ("test_entry_points.py", "test_user_hooks.py")
_SOME = "entry_points or larger or smaller or deeper or empty or longer or shrink or elsewhere"

# Two threads, one of which changes the network's shape: the cases of programs/swaps.py that once
# failed, and seconds for each.
_SWAPS = ("train", "sgd", "hessian_vector_product", "gradient_gram", "per_sample_gradient_norms")
_SECONDS = 60

# What must be reported, or nothing is watched: a read behind the end of a buffer. Where a record
# begins is one of the few numbers that the core takes on trust.
_CONTROL = """
import numpy as np
from fastbp import network
from fastbp._dispatch import core
X, order, records = np.zeros((2, 70)), np.arange(2), np.zeros(4096, np.uint8)
layout, biases, weights = network.Network([70, 1])._checked()
data = core.Samples(X, np.zeros((2, 1)), None, records, np.array([4096, 0, 0]))
core.train(layout.pack(biases, weights), layout.empty(), layout.layers, *layout.workspace(2), data,
           order, 0, 2, 0, 0.1, 1.0, 1.0)
"""


def run(options):
    """Run every file of the suite, and some on each level; short: the core tests, on the lowest."""
    libraries = " ".join(workshop.library(name) for name in ("libasan.so", "libstdc++.so"))
    workshop.library("libubsan.so")
    environment = {
        "LD_PRELOAD": libraries,
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    with workshop.copied() as folder:
        built = {"FASTBP_LEVELS": "base"} if options.short else {}
        workshop.build(folder, FASTBP_FLAGS=_FLAGS, **built)
        if options.short:  # an installed fastbp may have other levels, which nobody watches
            environment["FASTBP_LEVEL"] = "base"

        def file(name, **level):
            arguments = ["-m", "pytest", "-q", "-s", "-x", "-p", "no:cacheprovider", name]
            if options.short:
                some = Path(name).name in _ON_EACH_LEVEL
                arguments += ["-k", _SOME] if some else ["-m", "core"]
            else:
                arguments += ["-m", "not published"]
            found = workshop.command(folder, arguments, timeout=1800, **environment, **level)
            return "" if found.returncode in (0, 5) else found.stdout  # 5: none is a core test

        def swaps(case, level):
            program = [str(workshop.PROGRAMS / "swaps.py"), case]
            seconds = 2 if options.short else _SECONDS
            found = workshop.command(
                folder, [*program, str(seconds)], timeout=600,
                **environment | {"FASTBP_LEVEL": level},
            )  # fmt: skip
            return "" if found.returncode == 0 else found.stdout

        def control():
            found = workshop.command(folder, ["-c", _CONTROL], **environment)
            if found.returncode and "AddressSanitizer" in found.stdout:
                return ""
            return f"a read behind the end of a buffer was not reported\n{found.stdout}"

        paths = sorted((folder / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
        checks = {f"tests/{path.name}": partial(file, f"tests/{path.name}") for path in paths}
        supported = "from fastbp._dispatch import SUPPORTED; print(*SUPPORTED[::-1])"
        levels = workshop.command(folder, ["-c", supported], **environment).stdout.split()
        if options.short:
            levels = levels[:1]
        for level in levels:
            checks |= {
                f"two threads, {case}, {level}": partial(swaps, case, level) for case in _SWAPS
            }
        for level in levels[:-1]:  # the best level has had all files
            checks |= {
                f"tests/{name}, {level}": partial(file, f"tests/{name}", FASTBP_LEVEL=level)
                for name in _ON_EACH_LEVEL
            }
        return workshop.judge(
            {"a control that must be reported": control} | checks, options, workshop.processors()
        )
