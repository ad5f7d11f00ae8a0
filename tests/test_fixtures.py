"""Files of earlier versions: each loads, and predicts and trains on as it did then.

A folder of ``fixtures`` with an ``expected.json`` holds such files in ``files.tar.gz``. The JSON
says what to do with each file and which results the version that wrote it got; the folder's
``write.py`` got them by calling ``look`` of this module. The module uses fastbp's public names
alone, so that it does not depend on how a version keeps what it has loaded.
"""

import dataclasses
import hashlib
import importlib.util
import json
import pickle
import random
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from tolerances import STEPS

import fastbp

FIXTURES = Path(__file__).parent / "fixtures"
TABLES = {
    path.parent: json.loads(path.read_text("utf-8")) for path in FIXTURES.glob("*/expected.json")
}
ROWS = [
    pytest.param(folder, file, id=f"{folder.name}/{file}")
    for folder, table in TABLES.items()
    for file in table["files"]
]


@pytest.mark.parametrize(("folder", "file"), ROWS)
def test_a_file_of_an_earlier_version_loads(folder, file, tmp_path, monkeypatch):
    """The loaded object has the same contents and predictions, and trains on to the same result."""
    table = TABLES[folder]
    row = table["files"][file]
    if row["what"] == "estimator" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("estimators need scikit-learn")
    if row.get("numpy", 0) > int(np.__version__.partition(".")[0]):
        pytest.skip("an older NumPy cannot read what a newer one pickled")
    own = _own(folder)
    monkeypatch.setitem(sys.modules, own.__name__, own)
    (tmp_path / file).write_bytes(_content(folder, file))
    found = json.loads(json.dumps(look(tmp_path / file, row, table["data"])))
    compare(found, row["expected"], STEPS[np.dtype(row["dtype"]).type][100])


@pytest.mark.parametrize("folder", TABLES, ids=lambda folder: folder.name)
def test_every_file_is_in_the_table(folder):
    """The archive and the table of a version hold the same files."""
    with tarfile.open(folder / "files.tar.gz") as files:
        assert sorted(files.getnames()) == sorted(TABLES[folder]["files"])


def compare(found, expected, tolerance, where="found"):
    """Assert that two JSON values are equal, floats to within the tolerance.

    ``found`` may have more keys, as a later version may add some.
    """
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert found.keys() >= expected.keys(), where
        for key, value in expected.items():
            compare(found[key], value, tolerance, f"{where}[{key!r}]")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            compare(found[i], value, tolerance, f"{where}[{i}]")
    elif isinstance(expected, float):
        near = abs(found - expected) <= tolerance * max(1.0, abs(expected))
        assert found == expected or near, f"{where}: {found} for {expected}"  # both may be infinite
    else:
        assert found == expected, where


# -- what to do with a file, by kind ---------------------------------------------------------


def look(path, row, data):
    """Return the results of a file as JSON values; a checkpoint is overwritten."""
    return LOOKS[row["what"]](path, row, {name: np.array(value) for name, value in data.items()})


def _network(path, row, data):
    """Load a network, describe it, and train it for two epochs."""
    options = meant(row.get("load", {}))
    net = _unpickled(path) if path.suffix == ".pickle" else fastbp.load(path, **options)
    if isinstance(net, fastbp.network2.Network) and path.suffix != ".pickle":
        again = fastbp.network2.load(path, **options)
        assert _digest(again) == _digest(net)
    found = {**_about(net), "outputs": plain(net.feedforward(data["X"][:4].T).T)}
    random.seed(7)
    more = (0.1,) if isinstance(net, fastbp.network2.Network) else ()
    net.SGD(_pairs(data, net.sizes[-1]), 2, 5, 0.5, *more, verbose=False)
    return found | {"trained": _parameters(net)}


def _state(path, row, data):
    """Load a network and its optimizer's state, and continue training with both."""
    saved = _unpickled(path)
    net, state = saved["net"], saved["state"]
    found = {"sha256": _digest(net), "updates": state.updates, "samples": state.samples}
    fastbp.train(net, _dataset(data, net.sizes[-1]), state=state, **meant(row["train"]))
    found |= {"then": {"updates": state.updates, "samples": state.samples}}
    return found | {"trained": _parameters(net)}


def _checkpoint(path, row, data):
    """Continue a run. The network that is passed differs: the file's parameters must count."""
    options = meant(row["network"])
    module = getattr(fastbp, options.pop("module"))
    net = module.Network(**options, dtype=row["dtype"], random_state=99)
    train = meant(row["train"])
    if "validation" in train:
        train["validation"] = _dataset(data, net.sizes[-1])
    keep = fastbp.Checkpoint(path, every=2)
    history = fastbp.train(net, _dataset(data, net.sizes[-1]), checkpoint=keep, **train)
    return {"history": plain(history), "parameters": _parameters(net)}


def _value(path, row, data):
    """Load a pickled value."""
    return {"type": type(value := _unpickled(path)).__name__, "value": plain(value)}


def _estimator(path, row, data):
    """Load an estimator, describe it, predict, and continue training."""
    model = _unpickled(path)
    X, y = data[row["X"]].astype(row["dtype"]), data[row["y"]]
    given, usual = plain(model.get_params()), plain(type(model)().get_params())
    own = {name: value for name, value in given.items() if value != usual[name]}
    found = {"type": type(model).__name__, "parameters": own}
    if not hasattr(model, "coefs_"):
        return found
    learnt = sorted(name for name in vars(model) if name[-1] == "_" and name[0] != "_")
    found |= {"learnt": {name: plain(getattr(model, name)) for name in learnt}}
    with warnings.catch_warnings():
        # X has no column names, and the few epochs do not converge.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        warnings.filterwarnings("ignore", ".*(hasn't converged|failed to converge)")
        found |= {"predict": plain(model.predict(X[:4]))}
        if hasattr(model, "predict_proba"):
            found |= {"predict_proba": plain(model.predict_proba(X[:4]))}
        found |= {"score": float(model.score(X, y))}
        if "then" in row:
            getattr(model, row["then"])(X, y)
            arrays = plain([*model.coefs_, *model.intercepts_])
            found |= {"then": {"t_": int(model.t_), "arrays": arrays}}
    return found


def _command_line(path, row, data):
    """Predict with the command line."""
    samples = _csv(path.with_suffix(".csv"), data)
    command = [sys.executable, "-X", "utf8", "-m", "fastbp", "predict", path, samples]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=path.parent
    )
    return {"classes": done.stdout.split(), "failed": done.returncode}


LOOKS = {
    "network": _network,
    "state": _state,
    "checkpoint": _checkpoint,
    "value": _value,
    "estimator": _estimator,
    "command line": _command_line,
}


# -- shared ----------------------------------------------------------------------------------


def meant(value):
    """Return the Python value of a JSON value.

    ``{"fastbp": name}`` is a public name of fastbp, ``{"own": name}`` one of own_program, each
    called if there are arguments ``"of"``; ``{"numbered": list}`` is a dict with integer keys.
    """
    if isinstance(value, dict) and "fastbp" in value:
        found = fastbp
        for name in value["fastbp"].split("."):
            found = getattr(found, name)
        return found(**meant(value["of"])) if "of" in value else found
    if isinstance(value, dict) and "own" in value:
        found = getattr(sys.modules["own_program"], value["own"])
        return found(**meant(value["of"])) if "of" in value else found
    if isinstance(value, dict) and "numbered" in value:
        return dict(enumerate(value["numbered"]))
    if isinstance(value, dict):
        return {key: meant(item) for key, item in value.items()}
    if isinstance(value, list):
        return [meant(item) for item in value]
    return value


def plain(value):
    """Return the JSON form of a value."""
    if isinstance(value, fastbp.History):
        kept = {key: plain(item) for key, item in value.items() if key != "seconds"}
        ended = {"stopped": value.stopped, "best_epoch": value.best_epoch}
        return kept | ended | {"epochs": len(value["seconds"])}
    if isinstance(value, fastbp.Dataset):
        return {
            "X": plain(value.X),
            "Y": plain(value.Y),
            "dtypes": [value.X.dtype.name, value.Y.dtype.name],
        }
    if isinstance(value, BaseException):
        return {"args": list(value.args), **plain(vars(value))}
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        # A float32 as the shortest decimal that rounds to it.
        shortest = value.dtype == np.float32
        return plain(np.vectorize(lambda x: float(str(x)))(value) if shortest else value.tolist())
    if isinstance(value, np.random.RandomState | np.random.Generator | type):
        return getattr(value, "__name__", type(value).__name__)
    if callable(value):
        return value.__name__
    return value


def _about(net):
    """Return a network's class and options, and a digest of its parameters' bits."""
    names = {fastbp.network.Network: "network", fastbp.network2.Network: "network2"}
    found = {
        "type": names.get(type(net), type(net).__name__),
        "num_layers": net.num_layers,
        "sizes": [int(n) for n in net.sizes],
        "dtype": str(net.dtype),
        "sha256": _digest(net),
    }
    if isinstance(net, fastbp.network2.Network):
        cost = net.cost if isinstance(net.cost, type) else type(net.cost)
        found |= {"cost": cost.__name__, "activations": list(net.activations)}
        found |= {"cost holds": {} if isinstance(net.cost, type) else vars(net.cost)}
    return found | {"note": getattr(net, "note", None)}


def _digest(net):
    digest = hashlib.sha256()
    for array in (*net.biases, *net.weights):
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _parameters(net):
    return plain([*net.biases, *net.weights])


def _dataset(data, n_outputs):
    labels = n_outputs == 2  # a network with one output gets numbers as targets
    return fastbp.Dataset(data["X"], data["labels"] if labels else data["numbers"][:, None])


def _pairs(data, n_outputs):
    one_hot = fastbp.one_hot(data["labels"], 2)
    targets = one_hot if n_outputs == 2 else data["numbers"][:, None]
    return [(x.reshape(-1, 1), y.reshape(-1, 1)) for x, y in zip(data["X"], targets, strict=True)]


def _csv(path, data):
    rows = zip(data["X"].tolist(), data["words"], strict=True)
    lines = ["width,höhe,leaf,kind", *(",".join([*map(str, x), word]) for x, word in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _content(folder, file):
    with tarfile.open(folder / "files.tar.gz") as files:
        return files.extractfile(file).read()


def _unpickled(path):
    with path.open("rb") as file:
        return pickle.load(file)


def _own(folder):
    """Return the module that the pickles of a folder refer to."""
    spec = importlib.util.spec_from_file_location("own_program", folder / "own_program.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
