"""The orders of epochs: the compiled shuffles are Python's, and what any leaves of the samples."""

import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tolerances import STEPS
from twins import flat, pairs, twins

import fastbp
from fastbp import Dataset, network, shuffling
from fastbp.shuffling import EpochOrder

SIZES = [3, 4, 2]
LENGTHS = [*range(70), *(2**k + d for k in range(7, 17) for d in (-1, 0, 1)), 1000, 50_000]
# After random.seed(12345678): random.shuffle(range(12)), and the next random.random().
PYTHON_2 = [11, 3, 10, 1, 0, 5, 7, 4, 9, 2, 6, 8], 0.023482955664146488


def test_python2_is_python_2s():
    """The permutation, and the generator after it, are those that Python 2.7.18 gave."""
    random.seed(12345678)
    x = list(range(12))
    shuffling.python2(x)
    assert x == PYTHON_2[0]
    assert random.random() == PYTHON_2[1]


# What a shuffle leaves of the rows 0 to 4, and what is said of it.
LEFT = {
    "a row too far": ([0, 1, 2, 3, 5], "got 5"),
    "a row from the end": ([0, -1, 2, 3, 4], "got -1"),
    "a row beyond 64 bits": ([0, 1, 2, 3, 2**70], f"got {2**70}"),
    "floats": ([0.0, 1.0, 2.0, 3.0, 4.0], "got 0.0"),
    "texts": (["0", "1", "2", "3", "4"], "got '0'"),
    "nothing that counts": ([None] * 5, "got None"),
    "lists": ([[0], [1], [2], [3], [4]], r"got \[0\]"),
    "lists of several lengths": ([[0], 1, 2, [3, 4], 4], r"got \[0\]"),
    "a list of rows in a list": ([[0, 1, 2, 3, 4]], "got 1 row"),
    "fewer": ([0, 1, 2], "got 3 rows"),
    "none": ([], "got 0 rows"),
    "more": ([*range(5), 1, 1], "got 7 rows"),
    "one twice": ([0, 1, 2, 3, 3], "got 3 2 times"),
}


def callers(shuffle):
    """Return the public calls that hand rows to a shuffle of the user's."""
    data = Dataset(np.random.default_rng(0).random((5, 3)), np.eye(2)[[0, 1, 0, 1, 1]])
    return {
        "SGD": lambda net: net.SGD(data, 3, 2, 0.5, shuffle=shuffle, verbose=False),
        "SGD by an own step": lambda net: by_hand(net).SGD(
            data, 3, 2, 0.5, shuffle=shuffle, verbose=False
        ),
        "train": lambda net: fastbp.train(net, data, epochs=3, shuffle=shuffle, evaluate=False),
        "train, evaluated": lambda net: fastbp.train(net, data, epochs=3, shuffle=shuffle),
    }


def by_hand(net):
    net.update_mini_batch = lambda *arguments, **options: None
    return net


@pytest.mark.parametrize("call", callers(None))
@pytest.mark.parametrize("left", LEFT)
def test_rows_that_a_shuffle_leaves_are_a_permutation(left, call):
    """Whatever a user's shuffle leaves of a Dataset's rows, they are all there, each once."""
    rows_left, got = LEFT[left]
    _, fast = twins(SIZES)
    before = flat(fast.weights, fast.biases).tobytes()

    def shuffle(rows):
        rows[:] = rows_left

    expected = f"shuffle: expected the row numbers 0 to 4 in another order, {got}"
    with pytest.raises(ValueError, match=expected):
        callers(shuffle)[call](fast)
    assert flat(fast.weights, fast.biases).tobytes() == before
    callers(lambda rows: rows.reverse())[call](fast)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("left", [0, 1, 4, 6, 500])
def test_a_shuffle_leaves_as_many_pairs(left, own):
    """The caller's list is reordered, and may hold new pairs, but as many in each epoch."""
    _, fast = twins(SIZES)
    if own:
        by_hand(fast)
    before = flat(fast.weights, fast.biases).tobytes()

    def shuffle(items):
        items[:] = (items * 100)[:left]

    with pytest.raises(ValueError, match=f"training_data: expected 5 samples .*, got {left};"):
        fast.SGD(pairs(SIZES, 5), 1, 2, 0.5, shuffle=shuffle, verbose=False)
    assert flat(fast.weights, fast.biases).tobytes() == before


def test_a_shuffle_may_repeat_pairs():
    """Of a list it is the pairs left in it that are trained on, as in the book."""

    def shuffle(items):
        items[:] = [items[3], items[1], items[1], items[0], items[3]]

    nets = twins(SIZES)
    for net in nets:
        net.SGD(pairs(SIZES, 5), 2, 2, 0.5, 1.0, shuffle=shuffle, verbose=False)
    reference, fast = (flat(net.weights, net.biases) for net in nets)
    assert np.abs(fast - reference).max() <= STEPS[np.float64][10]


# -- the compiled shuffles -----------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """Return the lengths that went through the compiled shuffle, to which each one is added."""
    lengths, core = [], shuffling.core
    for python2 in (False, True):  # not counted
        assert shuffling._known_of_python(python2)
    real = core.shuffle

    def spy(getstate, setstate, python2, order):
        lengths.append(len(order))
        real(getstate, setstate, python2, order)

    monkeypatch.setattr(core, "shuffle", spy)
    return lengths


@pytest.fixture
def unknown():
    """Let the verdict on the compiled shuffle be found anew in this test, and after it."""
    caches = shuffling._known_of_python, shuffling._known_of_numpy
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def the_shuffle(name):
    """Return what a network or a user hands over, looked up now."""
    return random.shuffle if name == "random.shuffle" else shuffling.python2


def ids(items):
    return [id(card) for card in items]


each_shuffle = pytest.mark.parametrize("name", ["random.shuffle", "python2"])


@pytest.mark.core
@each_shuffle
@pytest.mark.parametrize("used", [0, 1, 623, 624, 1247], ids=lambda used: f"{used} used")
def test_the_compiled_shuffle_is_pythons(name, used):
    """For every length and position of the generator: the same order, the same state after."""
    for n in LENGTHS:
        random.seed(n)
        random.gauss(0, 1)  # leaves one for the next call: a part of the state
        for _ in range(used):
            random.getrandbits(32)
        before = random.getstate()
        assert before[2] is not None
        items = list(range(n))
        the_shuffle(name)(items)
        after = random.getstate()
        random.setstate(before)
        rows = np.arange(n, dtype=np.intp)
        shuffling._on_rows(the_shuffle(name))(rows)
        assert rows.tolist() == items, n
        assert random.getstate() == after, n


@pytest.mark.core
@each_shuffle
@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000])
def test_a_deck_is_shuffled_as_the_list_would_be(name, n, compiled):
    """Epoch by epoch, with repeated items: the caller's list, what is trained on, the state."""
    items = [np.full(2, i % 7) if i % 5 else np.zeros(2) for i in range(n)]
    items += items[::3]  # the same objects; and there are equal ones
    first = list(items)
    counts = [sys.getrefcount(card) for card in first]
    expected = list(items)
    rows = list(range(len(items)))
    ordering = EpochOrder(items, lambda: the_shuffle(name))
    samples = Dataset(np.ones((len(items), 2)), np.zeros(len(items)))
    data, late = (EpochOrder(samples, lambda: the_shuffle(name)) for _ in range(2))
    for epoch in range(5):
        before = random.getstate()
        the_shuffle(name)(expected)
        after = random.getstate()
        random.setstate(before)
        ordering.shuffle()
        assert random.getstate() == after
        assert ordering.items is items
        assert ids(items) == ids(expected) == ids([first[i] for i in ordering.order()])
        random.setstate(before)
        the_shuffle(name)(rows)
        random.setstate(before)
        data.shuffle()
        assert random.getstate() == after
        assert data.order().tolist() == rows == data.items
        random.setstate(before)
        late.shuffle()
        assert len(compiled) == 3 * (epoch + 1)
    assert late.order().tolist() == rows == late.items  # asked for the first time
    del ordering, expected
    assert [sys.getrefcount(card) for card in first] == counts


def test_networks_take_the_compiled_shuffle(compiled):
    """``SGD`` of pairs and of a Dataset, by default and with shuffles of a Random."""
    data = pairs(SIZES, 20)
    rows = Dataset(np.ones((30, 3)), np.zeros(30))
    net = network.Network(SIZES)
    net.SGD(data, 2, 5, 0.5, verbose=False)
    net.SGD(rows, 1, 5, 0.5, verbose=False)
    net.SGD(data[:10], 1, 5, 0.5, shuffle=random.Random(3).shuffle, verbose=False)
    net.SGD(data[:11], 1, 5, 0.5, shuffle=shuffling.python2, verbose=False)
    assert compiled == [20, 20, 30, 10, 11]


def replaced_globally(monkeypatch, log):
    shipped = random.shuffle
    monkeypatch.setattr(random, "shuffle", lambda x: (log.append("own"), shipped(x)))


def replaced_in_the_class(part):
    def patch(monkeypatch, log):
        shipped = getattr(random.Random, part)

        def own(self, *arguments):
            log.append("own")
            return shipped(self, *arguments)

        monkeypatch.setattr(random.Random, part, own)
        if part == "shuffle":  # else the module goes on with the one it was made with
            monkeypatch.setattr(random, "shuffle", random.shuffle.__self__.shuffle)

    return patch


def replaced_in_the_object(part):
    def patch(monkeypatch, log):
        generator = random.shuffle.__self__
        shipped = getattr(generator, part)

        def own(*arguments):
            log.append("own")
            return shipped(*arguments)

        monkeypatch.setattr(generator, part, own, raising=False)
        if hasattr(random, part):
            monkeypatch.setattr(random, part, own)

    return patch


def a_class_of_its_own(monkeypatch, log):
    class Own(random.Random):
        def getrandbits(self, k):
            log.append("own")
            return super().getrandbits(k)

        def random(self):
            log.append("own")
            return super().random()

    own = Own(5)
    monkeypatch.setattr(random, "shuffle", own.shuffle)
    monkeypatch.setattr(random, "random", own.random)


def random_replaced(monkeypatch, log):
    shipped = random.random
    monkeypatch.setattr(random, "random", lambda: (log.append("own"), shipped())[1])


def module_replaced(monkeypatch, log):
    shipped = random.random
    own = SimpleNamespace(random=lambda: (log.append("own"), shipped())[1])
    monkeypatch.setattr(shuffling, "random", own)


def python2_replaced(monkeypatch, log):
    shipped = shuffling.python2
    monkeypatch.setattr(shuffling, "python2", lambda x: (log.append("own"), shipped(x)))


HOOKS = [
    ("random.shuffle", replaced_globally),
    *(
        ("random.shuffle", replaced(part))
        for replaced in (replaced_in_the_class, replaced_in_the_object)
        for part in ("shuffle", "_randbelow", "getrandbits")
    ),
    ("random.shuffle", a_class_of_its_own),
    ("python2", random_replaced),
    ("python2", replaced_in_the_object("random")),
    ("python2", a_class_of_its_own),
    ("python2", module_replaced),
    ("python2", python2_replaced),
]


@pytest.mark.parametrize(("name", "hook"), HOOKS)
def test_whatever_is_replaced_is_called(name, hook, compiled, monkeypatch):
    """Also between two epochs: the user's own part is called, and the compiled one is not."""
    items, log = [[i] for i in range(20)], []
    expected = list(items)
    shuffle = the_shuffle(name)  # as shipped: in the first epoch nothing is replaced
    ordering = EpochOrder(items, lambda: the_shuffle(name))
    random.seed(1)
    shuffle(expected)
    random.seed(1)
    ordering.shuffle()
    assert compiled == [20]
    assert ids(items) == ids(expected)
    with monkeypatch.context() as patched:
        hook(patched, log)
        ordering.shuffle()
        assert log
        assert compiled == [20]
    assert sorted(items) == [[i] for i in range(20)]
    assert ordering.order().tolist() == [i for (i,) in items]
    ordering.shuffle()
    assert compiled == [20, 20]
    assert ordering.order().tolist() == [i for (i,) in items]


@pytest.mark.parametrize("part", ["shuffle", "_randbelow", "getrandbits", "random"])
def test_what_was_replaced_before_the_import_is_called(part):
    """A part of the class that was replaced before fastbp came is no less the user's."""
    code = f"""
import random
shipped, log = random.Random.{part}, []
def own(self, *arguments):
    log.append(1)
    return shipped(self, *arguments)
random.Random.{part} = own
random.shuffle = random.shuffle.__self__.shuffle
random.random = random.shuffle.__self__.random
from fastbp import shuffling
shuffle = shuffling.python2 if {part == "random"} else random.shuffle
for _ in range(2):
    log.clear()
    shuffling.EpochOrder(list("abcdefgh"), lambda: shuffle).shuffle()
    assert log
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def wrong_order(real, getstate, setstate, python2, order):
    real(getstate, setstate, python2, order)
    order[:2] = order[1::-1].copy()


def wrong_state(real, getstate, setstate, python2, order):
    state = getstate()
    real(getstate, setstate, python2, order)
    if len(order) == 1000:
        setstate((*state[:-1], 0))


def another_form(real, getstate, setstate, python2, order):
    real(lambda: getstate()[1:], setstate, python2, order)


def no_position(real, getstate, setstate, python2, order):
    real(lambda: (*getstate()[:-1], 625), setstate, python2, order)


@each_shuffle
@pytest.mark.parametrize("wrong", [wrong_order, wrong_state, another_form, no_position])
def test_a_compiled_shuffle_that_differs_is_not_used(name, wrong, unknown, monkeypatch):
    """Whether in the order, the state after or its form: the running Python's is called."""
    real = shuffling.core.shuffle
    monkeypatch.setattr(shuffling.core, "shuffle", lambda *a: wrong(real, *a))
    assert shuffling._on_rows(the_shuffle(name)) is None
    items = [[i] for i in range(1000)]
    expected = list(items)
    random.seed(2)
    the_shuffle(name)(expected)
    after = random.getstate()
    random.seed(2)
    EpochOrder(items, lambda: the_shuffle(name)).shuffle()
    assert ids(items) == ids(expected)
    assert random.getstate() == after


@pytest.mark.parametrize("words", [(), range(624), range(626), [0] * 624 + [625], [0] * 624 + [-1]])
def test_a_state_of_another_form_is_refused(words):
    """Another generator, some day, is not read beyond its words; nothing is drawn from it."""
    rows, kept = np.arange(5, dtype=np.intp), []
    with pytest.raises(ValueError, match="not the state of a Mersenne Twister"):
        shuffling.core.shuffle(lambda: tuple(words), kept.append, False, rows)
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert not kept


@pytest.mark.core
def test_each_card_is_looked_at():
    """One card that is equal and not the same, at any place, is seen; and a list too short."""
    first = [np.zeros(2) for _ in range(10)]
    order = np.random.default_rng(0).permutation(10).astype(np.intp)
    lies = shuffling.core.is_in_order
    items = [first[i] for i in order]
    assert lies(items, first, order)
    for k in range(10):
        assert not lies([*items[:k], items[k].copy(), *items[k + 1 :]], first, order)
        assert not lies(items[:k], first, order)
    assert not lies([*items, items[0]], first, order)
    before = ids(items)
    shuffling.core.reorder(items, first, np.arange(10, dtype=np.intp), order[::-1].copy())
    assert ids(items) == before  # not where they were said to lie


def test_nothing_is_verified_before_there_is_something_to_shuffle():
    """The import, and a network that is not trained, do not pay for it."""
    code = (
        "from fastbp import network, shuffling; network.Network([2, 2]);"
        "asked = shuffling._known_of_python, shuffling._known_of_numpy;"
        "assert not any(known.cache_info().misses for known in asked)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("bits", ["PCG64", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("kind", [np.random.Generator, np.random.RandomState])
def test_a_generator_of_numpys_shuffles_the_list_through_rows(kind, bits):
    """Both kinds shuffle rows as they do a list, and go on as after the list."""
    ours, numpys = (kind(getattr(np.random, bits)(3)) for _ in range(2))
    for n in LENGTHS[1:]:
        items = [[i] for i in range(n)]
        first, expected = list(items), list(items)
        ordering = EpochOrder(items, lambda: ours.shuffle)
        assert shuffling._on_rows(ours.shuffle) is not None
        for _ in range(2 if n < 1000 else 1):
            ordering.shuffle()
            numpys.shuffle(expected)
            assert ids(items) == ids(expected) == ids([first[i] for i in ordering.order()])
        assert ours.uniform() == numpys.uniform()


def test_what_is_not_exactly_numpys_generator_gets_the_list():
    """Neither a class of its own nor a generator's other methods are taken for the shuffle."""
    log = []

    class Own(np.random.Generator):
        def shuffle(self, x):
            log.append(type(x))
            super().shuffle(x)

    generator = np.random.default_rng(1)
    own = Own(np.random.PCG64(1))
    for other in (own.shuffle, generator.permutation, np.random.permutation):
        assert shuffling._on_rows(other) is None
    EpochOrder([1, 2, 3], lambda: own.shuffle).shuffle()
    assert log == [list]


def test_another_method_of_a_random_is_not_taken_for_its_shuffle(monkeypatch):
    """Nor is another one that stands for ``random.random``."""
    assert shuffling._on_rows(random.Random(1).sample) is None
    monkeypatch.setattr(random, "random", random.Random(1).getrandbits)
    assert shuffling._on_rows(shuffling.python2) is None


def test_numpys_shuffle_of_rows_that_differs_is_not_used(unknown, monkeypatch):
    """If NumPy should shuffle arrays in another way one day, it is given the list."""

    class Other(np.random.Generator):
        def shuffle(self, x):
            super().shuffle(x if isinstance(x, list) else x[::-1])

    monkeypatch.setattr(np.random, "Generator", Other)
    assert shuffling._on_rows(Other(np.random.PCG64(1)).shuffle) is None


def replace_one(items):
    items[3] = items[3].copy()  # equal, and not the same


def replace_by_equal_rows(items):
    items[:] = [card.copy() for card in items]


def turn(items):
    items.append(items.pop(0))


def leave_out(items):
    del items[2:5]


def repeat(items):
    items[4:8] = items[:4]


def add(items):
    items.insert(2, np.full(2, 99.0))


CHANGES = [replace_one, replace_by_equal_rows, turn, repeat]


@each_shuffle
@pytest.mark.parametrize("change", [leave_out, add])
def test_a_list_that_grows_or_shrinks_in_between(name, change):
    """As many items as at first are dealt in each epoch, or none."""
    for shuffled in (False, True):
        ordering = EpochOrder([np.full(2, float(i)) for i in range(20)], lambda: the_shuffle(name))
        ordering.shuffle()
        change(ordering.items)
        with pytest.raises(ValueError, match="training_data: expected 20 samples"):
            ordering.shuffle() if shuffled else ordering.order()


@each_shuffle
@pytest.mark.parametrize("when", ["before the shuffle", "after the shuffle"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_list_that_user_code_changes_in_between(name, change, when, compiled):
    """It is the changed list that is shuffled, and read; new items in it are found."""
    items = [np.full(2, float(i)) for i in range(20)]
    first = list(items)
    ordering = EpochOrder(items, lambda: the_shuffle(name))
    ordering.shuffle()
    if when == "before the shuffle":
        change(items)
    before, expected = random.getstate(), list(items)
    the_shuffle(name)(expected)
    after = random.getstate()
    random.setstate(before)
    ordering.shuffle()
    if when == "after the shuffle":
        random.seed(0)
        change(items)
        random.seed(0)
        change(expected)
        if change in (replace_one, replace_by_equal_rows):
            assert [card.tolist() for card in items] == [card.tolist() for card in expected]
            expected = list(items)
    else:
        assert random.getstate() == after
    assert ids(items) == ids(expected)
    order = ordering.order()
    if change in (replace_one, replace_by_equal_rows):
        assert order is None
    else:
        assert ids([first[i] for i in order]) == ids(items)
        done = len(compiled)
        ordering.shuffle()  # known again, also as a part or with repeats
        assert len(compiled) == done + 1
        assert sorted(ids(items)) == sorted(ids(expected))
        assert ids([first[i] for i in ordering.order()]) == ids(items)


def test_a_list_of_another_class_is_shuffled_by_its_own_methods(compiled):
    """What a subclass of list does when items are set is not passed over."""
    log = []

    class Own(list):
        def __setitem__(self, i, value):
            log.append(i)
            super().__setitem__(i, value)

    items = Own([i] for i in range(10))
    first = list(items)
    ordering = EpochOrder(items, lambda: random.shuffle)
    ordering.shuffle()
    assert len(log) == 18
    assert not compiled
    assert [first[i] for i in ordering.order()] == list(items)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("generator", ["Python's", "NumPy's"])
def test_ctrl_c_leaves_the_list_where_the_generator_is(when, generator, monkeypatch):
    """Ctrl-C beside the compiled shuffle: both are as before it, or both as after it."""
    items = [[i] for i in range(50)]
    numpys = np.random.default_rng(1)
    shuffle = random.shuffle if generator == "Python's" else numpys.shuffle
    shuffles = shuffling._on_rows(shuffle)

    def interrupted(rows):
        if when == "after":
            shuffles(rows)
        raise KeyboardInterrupt

    random.seed(4)
    expected = list(items)
    if when == "after":
        twin = np.random.default_rng(1)
        (random if generator == "Python's" else twin).shuffle(expected)
    after = random.getstate()
    random.seed(4)
    monkeypatch.setattr(shuffling, "_on_rows", lambda _: interrupted)
    ordering = EpochOrder(items, lambda: shuffle)
    with pytest.raises(KeyboardInterrupt):
        ordering.shuffle()
    assert ids(items) == ids(expected)
    assert random.getstate() == after
