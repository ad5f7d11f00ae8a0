"""Bugs of the loops around the core: commits, rollback, threads, ``fastbp.train``."""

BUGS = {
    "options: a switch may be anything": (
        "fastbp/_checks.py",
        [
            (
                '    raise TypeError(text(where, "True or False", shown(value)))\n',
                "    return bool(value)\n",
            )
        ],
    ),
    "options: a bad score leaves an epoch behind": (
        "fastbp/training/trainer.py",
        [("                    net._commit(*self.start)\n", "                    pass\n")],
    ),
    "options: callbacks are not looked at": (
        "fastbp/training/options.py",
        [
            (
                '[_function(f, f"{where}[{i}]", "(net, history)") for i, f in enumerate(value)]',
                "list(value)",
            )
        ],
    ),
    "options: a schedule by any name": (
        "fastbp/training/options.py",
        [("    if value not in schedules.NAMED:\n", "    if False:\n")],
    ),
    "options: cosine falls in one epoch": (
        "fastbp/training/options.py",
        [("schedules.NAMED[value](max(epochs, 1))", "schedules.NAMED[value](1)")],
    ),
    "options: a state set to nonsense": (
        "fastbp/training/options.py",
        [("    value.check(where)\n", "")],
    ),
    "options: no hint at the right name": (
        "fastbp/errors.py",
        [('    return f"did you mean {found[0]!r}?" if found else ""\n', '    return ""\n')],
    ),
    "options: L-BFGS with any memory": (
        "fastbp/optimizers.py",
        [('        _checks.integer(self.memory, "LBFGS.memory", 1)\n', "")],
    ),
    "options: sizes without an order": (
        "fastbp/parameters.py",
        [("str | bytes | Mapping | Set)", "str | bytes)")],
    ),
    "options: a third positional is an option": (
        "fastbp/training/options.py",
        [("            given = (given[0], given[1:])\n", "            given = given[:2]\n")],
    ),
    "no commit after an epoch": (
        "fastbp/training/loop.py",
        [
            (
                "                net._publish(layout, block)\n",
                "                layout.unpack(block)\n",
            )
        ],
    ),
    "a commit only where nothing failed": (
        "fastbp/training/loop.py",
        [
            (
                "            try:\n                descend(",
                "            if True:\n                descend(",
            ),
            (
                "            finally:\n                net._publish(",
                "            if True:\n                net._publish(",
            ),
        ],
    ),
    "records: where nothing is shuffled": (
        "fastbp/training/loop.py",
        [("ordering.shuffles and ", "")],
    ),
    "records: of new samples in each epoch": (
        "fastbp/training/loop.py",
        [("not self._made_of and ordering", "ordering")],
    ),
    "records: of doubles for a network of floats": (
        "fastbp/training/loop.py",
        [("= again and as_they_are,", "= again,")],
    ),
    "records: nobody reads them": (
        "fastbp/training/loop.py",
        [("                    packed=data.packed,\n", "")],
    ),
    "records: also where the steps are a user's own": (
        "fastbp/training/loop.py",
        [
            (
                "data.check(ordering, layout)\n    for epoch",
                "data.check(ordering, layout), data.pack()\n    for epoch",
            )
        ],
    ),
    "records: for a few epochs": (
        "fastbp/training/loop.py",
        [("self._epochs >= packing.LEAST_EPOCHS", "True")],
    ),
    "records: of inputs that are not 0": (
        "fastbp/training/packing.py",
        [("< stop - start:\n            return NONE", "< stop - start:\n            break")],
    ),
    "records: what is left over is kept": (
        "fastbp/training/packing.py",
        [("    packed.rows.resize(", "    (lambda *_, **__: None)(")],
    ),
    "records: no line behind the last": (
        "fastbp/training/packing.py",
        [(" + core.ALIGNMENT, ", ", ")],
    ),
    "records: no memory is an error": (
        "fastbp/training/packing.py",
        [("except MemoryError:", "except EOFError:")],
    ),
    "no rollback": (
        "fastbp/training/loop.py",
        [("            if not finite:\n                block[:] = good\n", "            pass\n")],
    ),
    "a rollback also where all is finite": (
        "fastbp/training/loop.py",
        [
            (
                "            if not finite:\n                block",
                "            if True:\n                block",
            )
        ],
    ),
    "divergence is not looked for": (
        "fastbp/training/loop.py",
        [
            (
                "                if not _checks.all_finite(block):\n                    k = replay()",
                "                if False:\n                    k = replay()",
            )
        ],
    ),
    "the replay begins where the look was, not its mini-batch": (
        "fastbp/training/loop.py",
        [("begin = good_at - good_at % size", "begin = good_at")],
    ),
    "the replay keeps the state after the bad step": (
        "fastbp/training/loop.py",
        [("            good[:] = block\n            reached: int", "            reached: int")],
    ),
    "the replay goes on with later moments": (
        "fastbp/training/loop.py",
        [("            carried[:] = good_carried\n", "            pass\n")],
    ),
    "the moments at a look are not kept": (
        "fastbp/training/loop.py",
        [("                    good_carried[:] = carried\n", "                    pass\n")],
    ),
    "the parameters at a look are not kept": (
        "fastbp/training/loop.py",
        [("                good[:], good_at = block, position\n", "")],
    ),
    "no epoch is shuffled": (
        "fastbp/training/loop.py",
        [("        ordering.shuffle()\n", "        pass\n")],
    ),
    "the last epoch is left out": (
        "fastbp/training/loop.py",
        [("    for epoch in epochs:\n", "    for epoch in list(epochs)[:-1]:\n")],
    ),
    "nobody can end a run": (
        "fastbp/training/loop.py",
        [
            (
                "        if after_epoch(epoch, reported):\n            break\n",
                "        after_epoch(epoch, reported)\n",
            )
        ],
    ),
    "new samples of a shuffle are not taken": (
        "fastbp/training/loop.py",
        [("                ordering = ordering.again()\n", "")],
    ),
    "samples are not fitted to a network that has changed": (
        "fastbp/training/loop.py",
        [("if self._made_of == (ordering, layout):", "if self._made_of[:1] == (ordering,):")],
    ),
    "an empty set trains": (
        "fastbp/training/loop.py",
        [("    if n == 0:\n", "    if False:\n")],
    ),
    "by hand: the last mini-batch is left out": (
        "fastbp/training/loop.py",
        [
            (
                "range(0, len(items), mini_batch_size)",
                "range(0, len(items) - mini_batch_size + 1, mini_batch_size)",
            )
        ],
    ),
    "by hand: a Dataset keeps its order": (
        "fastbp/training/loop.py",
        [
            (
                "items = [rows[i] for i in ordering.order()]",
                "items = [rows[i] for i in range(len(rows))]",
            )
        ],
    ),
    "the decay is that of the first step squared": (
        "fastbp/training/loop.py",
        [("decay=1 - rate * l2,", "decay=(1 - rate * l2) ** 2,")],
    ),
    "clipping is left out": (
        "fastbp/training/loop.py",
        [("    if max_norm == math.inf:\n", "    if True:\n")],
    ),
    "outputs of the last call alone": (
        "fastbp/training/loop.py",
        [
            (
                "for start in range(0, n, layout.rows_per_call)",
                "for start in range(0, min(n, 1), layout.rows_per_call)",
            )
        ],
    ),
    "a second writer is let in": (
        "fastbp/_network.py",
        [
            (
                "            if got[0]:\n                return\n",
                "            if got[0] or self.acquire():\n                return\n",
            )
        ],
    ),
    "the guard is not given back": (
        "fastbp/_network.py",
        [("            if any(got):\n                self.release()\n", "")],
    ),
    "a forked child has its parent's guard": (
        "fastbp/_network.py",
        [("    os.register_at_fork(after_in_child=_GUARDS.clear)\n", "    pass\n")],
    ),
    "biases and weights are published one after the other": (
        "fastbp/_network.py",
        [
            (
                "            own.update(biases=biases, weights=weights)  # one step",
                "            own.update(biases=biases)\n            own.update(weights=weights)  # one step",
            )
        ],
    ),
    "a class's own weights are not set": (
        "fastbp/_network.py",
        [("        self.weights, self.biases = weights, biases\n", "        pass\n")],
    ),
    "what watches attributes is not told": (
        "fastbp/_network.py",
        [(" and not _sets(cls):", ":")],
    ),
    "an old pickle has no weights": (
        "fastbp/_network.py",
        [('if "_parameters" in state:', "if False:")],
    ),
    "a guard outlives its network": (
        "fastbp/_network.py",
        [("lambda _: _GUARDS.pop(key, None)", "lambda _: None")],
    ),
    "scaled weights are not scaled": (
        "fastbp/_network.py",
        [("np.sqrt(m) if scaled else 1.0", "1.0")],
    ),
    "biases and weights are read one after the other": (
        "fastbp/_network.py",
        [
            (
                "        biases, weights = self._parameters\n",
                "        biases, weights = self.biases, self.weights\n",
            )
        ],
    ),
    "a cost of one state's outputs and another's weights": (
        "fastbp/_network.py",
        [("self._checked() if state is None else state", "self._checked()")],
    ),
    "a Gram matrix of two states": (
        "fastbp/gradients/exact.py",
        [
            (
                "_errors_and_activations(Work(net, other, cost, state=state))",
                "_errors_and_activations(Work(net, other, cost))",
            )
        ],
    ),
    "drawn biases are published before the weights are": (
        "fastbp/_network.py",
        [
            (
                "            self._commit(biases, weights)\n\n    def _initialize",
                "            self.biases = biases\n            self.weights = weights\n\n"
                "    def _initialize",
            )
        ],
    ),
    "weights are drawn before biases": (
        "fastbp/_network.py",
        [
            (
                "            biases = [randn(n, 1).astype(self.dtype) for n in sizes[1:]]\n",
                "",
            ),
            (
                "            self._commit(biases, weights)\n\n    def _initialize",
                "            biases = [randn(n, 1).astype(self.dtype) for n in sizes[1:]]\n"
                "            self._commit(biases, weights)\n\n    def _initialize",
            ),
        ],
    ),
    "a step is taken from parameters that are not finite": (
        "fastbp/_network.py",
        [
            (
                "self._checked(finite=True)  # last: samples may run code",
                "self._checked()  # last: samples may run code",
            )
        ],
    ),
    "a small step is divided by one": (
        "fastbp/_network.py",
        [("COSTS[cost], -eta / n, True", "COSTS[cost], -eta, True")],
    ),
    "a user's gradient that is not finite is taken": (
        "fastbp/_network.py",
        [
            (
                "        if not all(_checks.all_finite(a) for a in new_b + new_w):\n",
                "        if False:\n",
            )
        ],
    ),
    "a user's gradients are not summed": (
        "fastbp/_network.py",
        [
            (
                "            sums.append(total + factor * nabla)",
                "            sums.append(factor * nabla)",
            )
        ],
    ),
    "a user's gradients are not clipped": (
        "fastbp/_network.py",
        [("factor = max_norm / size if size > max_norm else 1.0", "factor = 1.0")],
    ),
    "a user's step decays its biases": (
        "fastbp/_network.py",
        [("new_b = _plus(biases, -step", "new_b = _plus([decay * b for b in biases], -step")],
    ),
    "a user's backprop is not called": (
        "fastbp/_network.py",
        [
            (
                "            elif name in own or getattr(cls, name, None) is not self._methods[name]:\n                return True\n",
                "",
            )
        ],
    ),
    "feedforward of one column alone": (
        "fastbp/_network.py",
        [("        if a.shape[1] == 1:\n", "        if True:\n")],
    ),
    "the schedule is not followed": (
        "fastbp/training/trainer.py",
        [('eta = optimizer.eta * _checks.number(factor, "schedule(...)")', "eta = optimizer.eta")],
    ),
    "the best parameters are not put back": (
        "fastbp/training/trainer.py",
        [
            (
                "            self.net._commit(*([a.copy() for a in part] for part in self.best))\n",
                "            pass\n",
            )
        ],
    ),
    "the last parameters count as the best": (
        "fastbp/training/trainer.py",
        [("if better and early", "if early")],
    ),
    "early stopping never stops": (
        "fastbp/training/trainer.py",
        [("self.watch is not None and self.watch.over():", "False:")],
    ),
    "a callback cannot end the run": (
        "fastbp/training/trainer.py",
        [("        if any(answer is True for answer in called):\n", "        if False:\n")],
    ),
    "class weights are ignored": (
        "fastbp/training/train.py",
        [
            (
                "samples.scaled(layout.dtype, factors[classes], own)",
                "samples.scaled(layout.dtype, np.ones(n), own)",
            )
        ],
    ),
    "every epoch draws dropout anew from the start": (
        "fastbp/training/trainer.py",
        [("state.samples + epoch * n", "self.state.samples")],
    ),
    "every epoch counts updates from the start": (
        "fastbp/training/trainer.py",
        [("state.updates + epoch * self._steps", "self.state.updates")],
    ),
    "the cost has no penalty": (
        "fastbp/training/trainer.py",
        [("cost + objective.penalty(weights, self._steps)", "cost")],
    ),
    "a score that is NaN is the best": (
        "fastbp/schedules.py",
        [("        if value > largest:", "        if not value <= largest:")],
    ),
    "no epoch is better than one whose score is NaN": (
        "fastbp/training/early_stopping.py",
        [("max(self._best, score)", "max(score, self._best)")],
    ),
    "the best parameters are what a callback makes of them": (
        "fastbp/training/trainer.py",
        [("[b.copy() for b in biases], [w.copy() for w in weights]", "biases, weights")],
    ),
    "the estimator's best parameters are what a callback makes of them": (
        "fastbp/estimators/perceptron.py",
        [
            (
                "[b.copy() for b in net.biases], [w.copy() for w in net.weights]",
                "net.biases, net.weights",
            )
        ],
    ),
    "a quantity that was not counted at first has fewer values": (
        "fastbp/training/history.py",
        [("                series += [math.nan] * (before - len(series))\n", "")],
    ),
    "a handler's other network is written over": (
        "fastbp/_network.py",
        [
            (
                "        self._layout().refuse_other(layout)\n        self._commit(",
                "        self._commit(",
            )
        ],
    ),
    "an own property is set once an epoch": (
        "fastbp/_network.py",
        [("return None if told else self", "return self")],
    ),
    "early stopping may begin in the midst of a run": (
        "fastbp/training/checkpoint.py",
        [('(name in before or name != "early_stopping")', 'name != "early_stopping"')],
    ),
    "the best epoch is the validation's, whatever is watched": (
        "fastbp/training/history.py",
        [("best(scores(self, self.monitor))", "best(scores(self))")],
    ),
    "weights of samples keep their unit": (
        "fastbp/samples.py",
        [("exponent = int(np.frexp(weights.max())[1]) - 1", "exponent = 0")],
    ),
    "weights of samples do not reach the core": (
        "fastbp/training/loop.py",
        [("core.Samples(X, Y, weights, *packed)", "core.Samples(X, Y, None, *compressed)")],
    ),
    "weights of samples are the caller's own": (
        "fastbp/samples.py",
        [
            (
                "return np.ldexp(weights, -exponent).astype(dtype, copy=False), exponent",
                "return weights.astype(dtype, copy=False), 0",
            ),
            ('np.array(_checks.real_array(value, where), np.float64, order="C")', "value"),
        ],
    ),
    "alpha keeps its unit where the weights lose theirs": (
        "fastbp/training/trainer.py",
        [("objective.in_unit(objective.alpha)", "objective.alpha")],
    ),
    "clip_norm keeps its unit where the weights lose theirs": (
        "fastbp/training/trainer.py",
        [("objective.in_unit(self.options.clip_norm)", "self.options.clip_norm")],
    ),
    "L-BFGS: alpha keeps its unit where the weights lose theirs": (
        "fastbp/training/lbfgs.py",
        [("objective.in_unit(objective.alpha)", "objective.alpha")],
    ),
    "gradients: a sum keeps the unit that the weights have in the core": (
        "fastbp/gradients/exact.py",
        [
            (
                '    with np.errstate(over="ignore", under="ignore"):\n',
                "    exponent = 0\n    if True:\n",
            )
        ],
    ),
    "estimators: a start without hidden layers is drawn as any other": (
        "fastbp/estimators/perceptron.py",
        [("given if isinstance(given, str) else (names or", "(names or")],
    ),
    "estimators: the split is stratified for several classes": (
        "fastbp/estimators/__init__.py",
        [
            (
                "return Y > 0.5 if self.n_outputs_ == 1 else None",
                "return Y > 0.5 if Y.ndim == 2 else Y",
            )
        ],
    ),
    "estimators: terms of the targets are averaged once": (
        "fastbp/estimators/perceptron.py",
        [("starts = np.arange(0, len(weights), self._batch)", "starts = np.array([0])")],
    ),
    "estimators: an adaptive rate is the first one times a factor": (
        "fastbp/estimators/perceptron.py",
        [
            (
                "        for _ in range(round(-math.log(of._rate, 5))):\n            rate /= 5",
                "        rate *= of._rate",
            )
        ],
    ),
    "L-BFGS without its penalty's slope": (
        "fastbp/training/lbfgs.py",
        [("l1 * np.sign(decayed) + l2 * decayed", "l1 * np.sign(decayed)")],
    ),
    "L-BFGS commits what is not finite": (
        "fastbp/training/lbfgs.py",
        [
            (
                "        if not all(_checks.all_finite(a) for a in biases + w):\n",
                "        if False:\n",
            )
        ],
    ),
    "L-BFGS: a gradient at the parameters of the start": (
        "fastbp/training/lbfgs.py",
        [
            (
                "        layout.pack(biases, w, work.block)\n        cost, _ = objective.judge(work.block,",
                "        cost, _ = objective.judge(layout.pack(biases, w),",
            )
        ],
    ),
    "a run that goes on begins its moments anew": (
        "fastbp/training/trainer.py",
        [("            block[:] = layout.pack(", "            layout.pack(")],
    ),
    "a run goes on under other options": (
        "fastbp/training/checkpoint.py",
        [("            if before.get(name) != value and (", "            if False and (")],
    ),
    "a threshold of its own for one output": (
        "fastbp/training/objective.py",
        [("right = (Z[:, 0] > threshold)", "right = (Z[:, 0] > 0.9)")],
    ),
    "rates of dropout may be 1": (
        "fastbp/training/options.py",
        [("    if rate >= 1:\n", "    if False:\n")],
    ),
    "a thread that fails is not noticed": (
        "fastbp/training/threads.py",
        [("    if failures:\n        raise failures[0]\n", "")],
    ),
    "every thread is the first": (
        "fastbp/training/threads.py",
        [("door(*arguments, team, part)", "door(*arguments, team, 0)")],
    ),
    "threads outlive the call": (
        "fastbp/training/threads.py",
        [("                thread.join()\n", "                pass\n")],
    ),
    "more threads than processors": (
        "fastbp/training/threads.py",
        [("min(self._n_threads, processors(), int(", "min(self._n_threads, int(")],
    ),
    "a shuffle of the user's is not seen": (
        "fastbp/shuffling.py",
        [
            (
                "    return _UNTOUCHED and _parts() == _SHIPPED and vars(generator)",
                "    return vars(generator)",
            )
        ],
    ),
    "Ctrl-C in a shuffle leaves the list behind": (
        "fastbp/shuffling.py",
        [
            (
                "                core.reorder(self._items, self._first, before, self._order)",
                "                pass",
            )
        ],
    ),
    "a shuffle may leave a row twice": (
        "fastbp/shuffling.py",
        [("    if counts.max() > 1:\n", "    if False:\n")],
    ),
    "a shuffle may leave rows that there are not": (
        "fastbp/shuffling.py",
        [("        if not 0 <= order[k] < n:\n", "        if False:\n")],
    ),
    "a shuffle may leave fewer or more": (
        "fastbp/shuffling.py",
        [
            (
                "        if length != n and isinstance(self.samples, Dataset):\n",
                "        if False:\n",
            ),
            ("        if length != n:\n", "        if False:\n"),
        ],
    ),
}
