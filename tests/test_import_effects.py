"""``import fastbp`` loads code and does nothing else; training leaves the processor as it was."""

import subprocess
import sys

import pytest

STATES = """
import contextlib, ctypes, faulthandler, gc, locale, os, random, signal, sys, threading, warnings
import numpy as np

def floats():
    "The flags of the unit of floating point, and what NumPy makes of numbers that they change."
    library = ctypes.CDLL(None)
    environment = (ctypes.c_ubyte * 64)()
    rounding = control = None
    if sys.platform == "linux":
        rounding = library.fegetround()
        library.fegetenv(environment)
    machine = os.uname().machine if hasattr(os, "uname") else ""
    if machine == "x86_64" and sys.platform == "linux":
        # Control word of the x87, and of MXCSR all but the six flags of what has happened.
        content = bytes(environment)
        control = content[:2], int.from_bytes(content[28:32], "little") & ~0x3F
    tiny = [np.array([5e-324], np.float64), np.array([1e-45], np.float32)]
    sums = [(t + t).tobytes() + (t * t.dtype.type(3)).tobytes() for t in tiny]
    ratios = [(np.array([2.5], d) / np.array([3], d)).tobytes() for d in (np.float32, np.float64)]
    denormal = (np.full(64, 1e-308) * np.full(64, 0.1)).tobytes()
    return rounding, control, sums, ratios, denormal, 5e-324 / 2, 1e-308 * 0.1

def states(numpy_random=True):
    return {
        "threads": [(t.name, t.daemon) for t in threading.enumerate()],
        "tasks": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0,
        "signals": [signal.getsignal(s) for s in sorted(signal.valid_signals())],
        "wakeup": signal.set_wakeup_fd(-1),
        "python's generator": random.getstate(),
        "numpy's generator":
            (np.random.get_state()[1].tobytes(), np.random.get_state()[2:]) if numpy_random else 0,
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "numpy's errors": (np.geterr(), np.geterrcall(), np.get_printoptions()),
        "floats": floats(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": (os.umask(0o22), os.umask(0o22))[1],
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook,
                  sys.gettrace(), sys.getprofile(), sys.stdout, sys.stderr, sys.stdin),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.flags),
        "importing": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "garbage": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
        "locale": locale.setlocale(locale.LC_ALL),
        "faults": faulthandler.is_enabled(),
        "files": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "children": os.path.exists("/proc/self/task") and
            open(f"/proc/self/task/{os.getpid()}/children").read(),
    }

def compare(before, after, what):
    for key, value in before.items():
        assert value == after[key], (what, key, value, after[key])
"""

IMPORT = (
    STATES
    + """
random.seed(1), np.random.seed(1)
warnings.simplefilter("error")
before = states()
import fastbp
compare(before, states(), "import")
for name in fastbp.__all__:
    getattr(fastbp, name)
compare(before, states(), "all names")
print("done")
"""
)

AUDIT = """
import sys
import numpy, json, hashlib
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)))
import fastbp
LOADING = {
    "import", "open", "marshal.loads", "exec", "compile", "os.listdir", "sys._getframe",
    "object.__getattr__", "object.__setattr__", "object.__delattr__", "code.__new__",
    "builtins.id", "function.__new__", "sys._getframemodulename", "cpython._PySys_ClearAuditHooks",
    "array.__new__",
}
more = [(event, str(arguments)[:200]) for event, arguments in seen if event not in LOADING]
assert more == [], more
written = [arguments for event, arguments in seen
           if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")]
assert written == [], written
code = (".py", ".pyc", ".so", ".pyd", ".zip")
others = [arguments[0] for event, arguments in seen
          if event == "open" and not str(arguments[0]).endswith(code)]
assert others == [], others
assert not any("random" == str(a[0]).rpartition(".")[2] for e, a in seen
               if e == "import" and str(a[0]).startswith("numpy"))
print("done")
"""

TRAINING = (
    STATES
    + """
import fastbp
data = fastbp.Dataset(np.random.rand(300, 30), np.random.rand(300, 5))
warnings.simplefilter("error")
for dtype in (np.float32, np.float64):
    net = fastbp.network2.Network([30, 20, 5], dtype=dtype, random_state=0)
    before = states()
    net.SGD(data, 2, 10, 0.5, 0.1, verbose=False, n_threads=2)
    net.feedforward(data), net.backprop(*data[0]), net.total_cost(data, 0.1)
    fastbp.per_sample_gradients(net, data), fastbp.gradient(net, data)
    fastbp.train(net, data, epochs=2, random_state=3)
    # Numbers that leave the range, on the way up and down.
    net.weights[0][:] *= 1e30 if dtype == np.float32 else 1e200
    net.feedforward(data)
    net.weights[0][:] = 1e-40 if dtype == np.float32 else 1e-310
    net.feedforward(data), net.backprop(*data[0])
    after = states()
    compare(before, after, "training")
print("done")
"""
)


@pytest.mark.parametrize("code", [IMPORT, AUDIT, TRAINING], ids=["states", "audit", "training"])
def test_no_side_effects(code):
    """No thread, process, connection, handler, flag, generator or filter is touched."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert found.stdout == "done\n", found.stderr


EFFECTS = {
    "a thread": "threading.Thread(target=lambda: __import__('time').sleep(9), daemon=True).start()",
    "a handler": "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "a draw": "random.random()",
    "another draw": "np.random.rand()",
    "a filter": "warnings.simplefilter('ignore')",
    "an error state": "np.seterr(all='ignore')",
    "a file": "kept = open(os.devnull)",
    "a variable": "os.environ['OMP_NUM_THREADS'] = '1'",
    # Downward on x86, upward on aarch64; each refuses the other's number.
    "a rounding": "[ctypes.CDLL(None).fesetround(mode) for mode in (0x400, 0x400000)]",
    "flushed denormals": "ctypes.CDLL(None).fesetenv(flushing)",
    "a process": "kept = __import__('subprocess').Popen(['sleep', '9'])",
}


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="the effects are Linux's")
@pytest.mark.parametrize("name", EFFECTS)
def test_each_effect_would_be_seen(name):
    """The comparison turns red on every effect that it is for."""
    if name == "flushed denormals" and __import__("platform").machine() != "x86_64":
        pytest.skip("MXCSR is of x86")
    flushing = (
        "environment = (ctypes.c_ubyte * 64)(); ctypes.CDLL(None).fegetenv(environment)\n"
        "environment[29] |= 0x80; flushing = environment\n"
    )
    code = STATES + "random.seed(1), np.random.seed(1)\n" + flushing + "before = states()\n"
    code += f"{EFFECTS[name]}\ncompare(before, states(), 'effect')\nprint('done')\n"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert "AssertionError: ('effect'" in found.stderr, found.stderr
