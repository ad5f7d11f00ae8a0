"""Compare gradients as a product: norms, one for each sample, clipped sums, Hessian products.

    python benchmarks/gradients.py               all networks, both types
    python benchmarks/gradients.py --cell 0      one network; --dtype float32 for one type
    python benchmarks/gradients.py --write       and put the tables into benchmarks/README.md

Sigmoid neurons, cross-entropy, summed over outputs and samples; on random numbers and on images
of MNIST, most of whose pixels are 0. Each contender lives in a process of its own, on one thread,
and must agree with the reference's gradients of each sample before it is timed. Turns, ratios and
the A/A control are those of speed.py. The products are those of matrices that forward, backward
and, for a gradient, BP4 are made of, by NumPy's BLAS: a ratio beyond theirs takes less than these,
which leave out the sigmoids and multiply by zeros too.
"""

import argparse

import contenders
import harness
import numpy as np
from contenders import MNIST, RANDOM
from harness import AbsentError, Program, Worker, duration, ratio, unless_noise

CELLS = [  # sizes, samples, data
    ([784, 100, 10], 64, RANDOM),
    ([784, 100, 10], 64, MNIST),
    ([784, 30, 10], 64, RANDOM),
    ([784, 30, 10], 64, MNIST),
    ([64, 128, 64, 10], 256, RANDOM),
]
DTYPES = ("float64", "float32")
TOLERANCE = {"float64": 1e-10, "float32": 1e-3}
MOST = 0.5  # the norm that gradients are clipped to


def sample(sizes, n, data, dtype):
    """Return data, the start's weights and biases, and a direction, in float64 and in dtype."""
    rng = np.random.default_rng(1)
    X, Y = rng.uniform(0, 1, (n, sizes[0])), rng.uniform(0, 1, (n, sizes[-1]))
    if data == MNIST:
        X, Y = contenders.samples(n, sizes, data)
    weights, biases = contenders.start(sizes)
    v = [rng.standard_normal(a.shape) for a in (*weights, *biases)]
    return [[a.astype(dtype) for a in part] for part in ([X, Y], weights, biases, v)]


# -- fastbp --------------------------------------------------------------------------


def fastbp(what, sizes, n, data, dtype):
    """One public call; the result is that of the call, in the order weights, biases."""
    import fastbp
    from fastbp import gradients, network2

    (X, Y), weights, biases, v = sample(sizes, n, data, dtype)
    net = network2.Network(sizes, dtype=dtype)
    net.weights, net.biases = weights, biases
    given = fastbp.Dataset(X, Y)
    out, flat = (gradients.per_sample_gradients(net, given, flat=flat) for flat in (False, True))
    direction = (v[len(weights) :], v[: len(weights)])
    call = {
        "gradient": lambda: gradients.gradient(net, given, reduction="sum"),
        "norms": lambda: gradients.per_sample_gradient_norms(net, given),
        "clipped": lambda: gradients.clipped_gradient(net, given, MOST)[0],
        "each": lambda: gradients.per_sample_gradients(net, given, out=out),
        "each, flat": lambda: gradients.per_sample_gradients(net, given, out=flat, flat=True),
        "hessian": lambda: gradients.hessian_vector_product(net, given, direction, reduction="sum"),
    }[what]

    def result():
        found = call()
        if isinstance(found, tuple):
            return [np.array(a) for part in found[::-1] for a in part]
        if what == "each, flat":
            ends = np.cumsum([a.size for a in (*biases, *weights)])[:-1]
            parts = np.split(found, ends, axis=1)
            return parts_in_order(parts, biases, weights, n)
        return [np.array(found)]

    return Program(call, result)


def parts_in_order(parts, biases, weights, n):
    """Return the columns of a flat result as arrays, weights first."""
    shaped = [
        np.array(part).reshape(n, *like.shape)
        for part, like in zip(parts, (*biases, *weights), strict=True)
    ]
    return shaped[len(biases) :] + shaped[: len(biases)]


def fill(what, sizes, n, data, dtype):
    """Write as many bytes as the gradients of all samples take, into warm memory."""
    size = sum(a * (b + 1) for a, b in zip(sizes[1:], sizes[:-1], strict=True))
    out = np.zeros((n, size), dtype)
    return Program(lambda: out.fill(1.0), lambda: [])


def products(what, sizes, n, data, dtype):
    """Compute the matrix products that a gradient, or norms, are made of, and nothing else."""
    (X, _), *_ = sample(sizes, n, data, dtype)
    run = contenders.products(sizes, dtype, n, gradient=what == "gradient")
    return Program(lambda: run(X), lambda: [])


# -- the judge -----------------------------------------------------------------------


def judge(what, sizes, n, data):
    """Return the result of the reference, one sample at a time, in float64."""
    from fastbp.reference import network2

    (X, Y), weights, biases, v = sample(sizes, n, data, np.float64)
    net = network2.Network(sizes)

    def each(weights, biases):
        net.weights, net.biases = weights, biases
        for x, y in zip(X, Y, strict=True):
            nabla_b, nabla_w = net.backprop(x.reshape(-1, 1), y.reshape(-1, 1))
            yield nabla_w + nabla_b

    if what == "hessian":  # a complex step along v
        k = len(weights)
        stepped = [a + 1e-200j * d for a, d in zip((*weights, *biases), v, strict=True)]
        total = [sum(parts) for parts in zip(*each(stepped[:k], stepped[k:]), strict=True)]
        return [a.imag / 1e-200 for a in total]
    gradients = list(each(weights, biases))
    if what in ("each", "each, flat"):
        return [np.array(parts) for parts in zip(*gradients, strict=True)]
    norms = np.array([np.sqrt(sum(np.sum(a**2) for a in g)) for g in gradients])
    if what == "norms":
        return [norms]
    factors = np.minimum(1, MOST / norms) if what == "clipped" else np.ones(n)
    return [np.tensordot(factors, np.array(p), 1) for p in zip(*gradients, strict=True)]


# -- peers ---------------------------------------------------------------------------


def jax(what, sizes, n, data, dtype):
    """One compiled function: vmap(grad), and what follows of it; jvp of grad for the Hessian."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as error:
        raise AbsentError(str(error)) from None
    jax.config.update("jax_enable_x64", True)
    (X, Y), weights, biases, v = sample(sizes, n, data, dtype)
    k = len(weights)
    theta = [jnp.asarray(a) for a in (*weights, *(b.ravel() for b in biases))]
    direction = [jnp.asarray(a) for a in (*v[:k], *(b.ravel() for b in v[k:]))]
    X, Y = jnp.asarray(X), jnp.asarray(Y)

    def loss(theta, x, y):
        a = x
        for w, b in zip(theta[: k - 1], theta[k:-1], strict=True):
            a = jax.nn.sigmoid(w @ a + b)
        z = theta[k - 1] @ a + theta[-1]
        return jnp.sum(jax.nn.softplus(z) - y * z)

    def total(theta, X, Y):
        return jnp.sum(jax.vmap(loss, (None, 0, 0))(theta, X, Y))

    each = jax.vmap(jax.grad(loss), (None, 0, 0))

    def norms(theta, X, Y):
        return jnp.sqrt(sum(jnp.sum(g.reshape(n, -1) ** 2, 1) for g in each(theta, X, Y)))

    def clipped(theta, X, Y):
        gradients = each(theta, X, Y)
        size = jnp.sqrt(sum(jnp.sum(g.reshape(n, -1) ** 2, 1) for g in gradients))
        factors = jnp.minimum(1, MOST / size)
        return [jnp.tensordot(factors, g, 1) for g in gradients]

    def hessian(theta, X, Y):
        return jax.jvp(lambda t: jax.grad(total)(t, X, Y), (theta,), (direction,))[1]

    functions = {
        "gradient": jax.grad(total), "each": each, "norms": norms, "clipped": clipped,
        "hessian": hessian,
    }  # fmt: skip
    function = jax.jit(functions[what])

    def result():
        found = function(theta, X, Y)
        found = [np.asarray(a) for a in (found if isinstance(found, list) else [found])]
        return shaped(found, what, n)

    return Program(lambda: jax.block_until_ready(function(theta, X, Y)), result)


def shaped(found, what, n):
    """Return gradients with the biases as columns."""
    if what == "norms":
        return found
    k = len(found) // 2
    lead = (n,) if what == "each" else ()
    return found[:k] + [b.reshape(*lead, -1, 1) for b in found[k:]]


def _torch():
    try:
        import torch
    except ImportError as error:
        raise AbsentError(str(error)) from None
    torch.set_num_threads(1)
    return torch


def torch_func(what, sizes, n, data, dtype):
    """torch.func: vmap(grad), and what follows of it; the plain gradient by autograd.grad."""
    torch = _torch()
    (X, Y), weights, biases, _ = sample(sizes, n, data, dtype)
    theta = [torch.from_numpy(a) for a in (*weights, *(b.ravel().copy() for b in biases))]
    X, Y, k = torch.from_numpy(X), torch.from_numpy(Y), len(weights)

    def loss(theta, x, y):
        a = x
        for w, b in zip(theta[: k - 1], theta[k:-1], strict=True):
            a = torch.sigmoid(torch.nn.functional.linear(a, w, b))
        z = torch.nn.functional.linear(a, theta[k - 1], theta[-1])
        return torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum")

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))

    def sizes_of(gradients):
        return torch.sqrt(sum((g.reshape(n, -1) ** 2).sum(1) for g in gradients))

    def clipped():
        gradients = each(theta, X, Y)
        factors = torch.clamp(MOST / sizes_of(gradients), max=1)
        return [torch.tensordot(factors, g, 1) for g in gradients]

    leaves = [p.clone().requires_grad_() for p in theta]
    functions = {
        "gradient": lambda: torch.autograd.grad(loss(leaves, X, Y), leaves),
        "each": lambda: each(theta, X, Y),
        "norms": lambda: [sizes_of(each(theta, X, Y))],
        "clipped": clipped,
    }
    if what not in functions:
        raise AbsentError("not measured")
    function = functions[what]
    return Program(function, lambda: shaped([a.numpy() for a in function()], what, n))


def opacus(what, sizes, n, data, dtype):
    """Opacus: hooks for each sample's gradient; ghost norms without them."""
    torch = _torch()
    try:
        from opacus.grad_sample import GradSampleModule
        from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import (
            GradSampleModuleFastGradientClipping,
        )
    except ImportError as error:
        raise AbsentError(str(error)) from None
    if what not in ("each", "norms"):
        raise AbsentError("not measured")
    (X, Y), weights, biases, _ = sample(sizes, n, data, dtype)
    layers = []
    for w, b in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(w.shape[1], w.shape[0]).to(getattr(torch, np.dtype(dtype).name))
        linear.weight.data, linear.bias.data = torch.from_numpy(w), torch.from_numpy(b.ravel())
        layers += [linear, torch.nn.Sigmoid()]
    plain = torch.nn.Sequential(*layers[:-1])
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    if what == "each":
        model = GradSampleModule(plain, loss_reduction="sum")
    else:
        model = GradSampleModuleFastGradientClipping(
            plain, loss_reduction="sum", max_grad_norm=MOST, use_ghost_clipping=True
        )
    linears = [layer for layer in plain if isinstance(layer, torch.nn.Linear)]

    def function():
        model.zero_grad()
        z = model(X)
        torch.nn.functional.binary_cross_entropy_with_logits(z, Y, reduction="sum").backward()
        if what == "norms":
            return [model.get_norm_sample()]
        return [l.weight.grad_sample for l in linears] + [l.bias.grad_sample for l in linears]

    return Program(function, lambda: shaped([a.detach().numpy() for a in function()], what, n))


PEERS = {"JAX": jax, "torch.func": torch_func, "Opacus": opacus}
WHATS = ("gradient", "norms", "clipped", "each", "hessian")
# Whose matrix products a result needs at least; that of a Hessian has others.
PRODUCTS_OF = {"gradient": "gradient", "norms": "norms", "clipped": "gradient", "each": "norms"}


# -- measuring -----------------------------------------------------------------------


def prepare(make, what, sizes, n, data, dtype):
    """Return a contender's program."""
    return make(what, sizes, n, data, np.dtype(dtype).type)


def measure(cell, dtype, rounds):
    """Return seconds by (program, what), an entry a round, and those that are absent."""
    cpu = harness.one_processor()
    jobs = {("fastbp", what): fastbp for what in (*WHATS, "each, flat")}
    jobs |= {(name, what): make for name, make in PEERS.items() for what in WHATS}
    jobs |= {("products", what): products for what in PRODUCTS_OF.values()}
    jobs |= {("fill", ""): fill, ("again", "gradient"): fastbp}
    workers, absent = {}, {}
    expected = {what: judge(what, *cell) for what in (*WHATS, "each, flat")}
    try:
        for (name, what), make in jobs.items():
            worker = Worker(cpu)
            try:
                worker.prepare(prepare, make, what, *cell, dtype)
                found = worker.result()
            except AbsentError as reason:
                worker.stop()
                absent[name, what] = str(reason)
                continue
            workers[name, what] = worker
            for a, b in zip(found, expected.get(what, []) if found else [], strict=True):
                error = np.abs(a - b).max() / np.abs(b).max()
                if not error <= TOLERANCE[dtype]:
                    raise SystemExit(f"{name}, {what}, {title(cell)}, {dtype}: off by {error:g}")
        return harness.interleave(workers, rounds, seconds=0.05), absent
    finally:
        for worker in workers.values():
            worker.stop()


def title(cell):
    """Return the name of a cell."""
    sizes, n, data = cell
    return f"{sizes}, {n}" + ("" if data == RANDOM else f", {data}")


def rows(cell, dtype, times):
    """Return the table's rows for a network and type."""
    ours = {what: times["fastbp", what] for what in (*WHATS, "each, flat")}
    control = harness.spread(times["again", "gradient"], ours["gradient"])
    for what in (*WHATS, "each, flat"):
        against = what.split(",")[0]
        peers = {name: times.get((name, against)) for name in PEERS}
        peers = {name: t for name, t in peers.items() if t is not None}
        cells = [title(cell), dtype, what, duration(np.nanmedian(ours[what]))]
        cells.append("" if what == "gradient" else str(ratio(ours[what], ours["gradient"])))
        if peers:
            best = min(peers, key=lambda name: np.nanmedian(peers[name]))
            cells.append(f"{best}, {duration(np.nanmedian(peers[best]))}")
            cells.append(unless_noise(ratio(peers[best], ours[what]), control))
            alone = times.get(("products", PRODUCTS_OF.get(against)))
            cells.append("" if alone is None else f"{np.nanmedian(peers[best] / alone):.2f}")
        else:
            cells += ["absent", "", ""]
        written = what.startswith("each")
        cells.append(str(ratio(times["fill", ""], ours[what])) if written else "")
        cells.append(f"{control[0]:.2f}–{control[1]:.2f}")
        yield cells


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", type=int, choices=range(len(CELLS)), help="one network only")
    parser.add_argument("--dtype", choices=DTYPES, help="one type only")
    parser.add_argument("--rounds", type=int, default=15, help="default %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    options = parser.parse_args()
    facts = harness.about(options.rounds)
    cells = CELLS if options.cell is None else [CELLS[options.cell]]
    found, missing = [], {}
    if not contenders.has_mnist():
        print("MNIST is not found (see fastbp.mnist_loader): its cells are left out")
        cells = [cell for cell in cells if cell[-1] != MNIST]
    for cell in cells:
        for dtype in DTYPES if options.dtype is None else [options.dtype]:
            times, absent = measure(cell, dtype, options.rounds)
            missing |= absent
            for row in rows(cell, dtype, times):
                found.append(row)
                print(*row, sep=" | ", flush=True)
    for (name, what), reason in missing.items():
        if "not measured" not in reason:
            print(f"{name}, {what}: absent, {reason}")
    header = [
        "network, samples",
        "type",
        "what",
        "fastbp",
        "to its gradient",
        "fastest other",
        "it / fastbp",
        "it / the products",
        "of the write bandwidth",
        "A/A",
    ]
    text = f"{harness.table(header, found)}\n\n{harness.origin(facts)}"
    if options.write:
        harness.write(harness.HERE / "README.md", "gradients", text)
    else:
        print(f"\n{text}")


if __name__ == "__main__":
    main()
