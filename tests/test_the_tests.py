"""The tests themselves are tested: a seeded bug must turn them red.

Here is a sample; ``tools/check.py mutate`` tries them all.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from lanes import mutate, workshop
from lanes.mutants import BUGS, EQUIVALENT, IN_THE_SUITE, SHORT, TESTS

# What judges one build of the core.
CORE_TESTS = [
    "tests/test_equivalence.py",
    "tests/test_sparse.py",
    "tests/test_tiny.py",
    "tests/test_sigmoid.py",
    "tests/test_few.py",
    "tests/test_gradient_forms.py",
    "tests/test_training.py",
    "tests/test_threads.py::test_the_bits_do_not_depend_on_the_number_of_threads",
]


@pytest.mark.parametrize("plain", ["", "1"], ids=["vectors", "plain loops"])
def test_a_build_without_a_bug_passes(plain):
    """Those of simd_vector.h and of simd_plain.h."""
    with workshop.copied() as folder:
        assert mutate.sound(folder, CORE_TESTS, FASTBP_PLAIN=plain) == ""


@pytest.fixture(scope="module")
def sound():
    with workshop.copied() as folder:
        assert mutate.sound(folder, ["tests/test_sigmoid.py"]) == ""
        yield folder


@pytest.mark.parametrize("name", IN_THE_SUITE)
def test_a_seeded_bug_turns_the_tests_red(name, sound):
    """Each of a sample is noticed by the tests that should notice it."""
    assert mutate.seed(sound, name) == ""


def test_the_table_of_bugs_fits_the_sources():
    """Every old text is in its file once; every file has its tests; samples are of the table."""
    for name, (file, edits, *_) in (BUGS | EQUIVALENT).items():
        text = (workshop.ROOT / file).read_text(encoding="utf-8")
        for old, new in edits:
            assert text.count(old) == 1, f"{name}: {old!r} is not in {file} once"
            assert old != new, name
    tests = {f"tests/test_{test}.py" for each in TESTS.values() for test in each}
    assert all((workshop.ROOT / test).exists() for test in tests)
    assert {file for file, _ in BUGS.values()} <= TESTS.keys()
    assert not set(IN_THE_SUITE) & set(SHORT)
    assert set(IN_THE_SUITE) | set(SHORT) <= BUGS.keys()
