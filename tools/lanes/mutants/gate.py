"""Bugs of the gate: what is looked at before the core is entered."""

BUGS = {
    "any integer is large enough": (
        "fastbp/_checks.py",
        [("    if number < least:\n", "    if False:\n")],
    ),
    "True is an integer": (
        "fastbp/_checks.py",
        [("    if isinstance(value, bool | np.bool_):\n", "    if False:\n")],
    ),
    "a number may be infinite": (
        "fastbp/_checks.py",
        [("    if not np.isfinite(result):\n", "    if False:\n")],
    ),
    "the quick way takes infinity": (
        "fastbp/_checks.py",
        [
            (
                "type(value) is float and above < value < math.inf",
                "type(value) is float and above < value",
            )
        ],
    ),
    "a number need not be above its bound": (
        "fastbp/_checks.py",
        [("    if result <= above:\n", "    if False:\n")],
    ),
    "text is a number": (
        "fastbp/_checks.py",
        [("    if not isinstance(value, Real):\n", "    if False:\n")],
    ),
    "complex numbers are real": (
        "fastbp/_checks.py",
        [('array.dtype.kind not in "biuf"', 'array.dtype.kind not in "biufc"')],
    ),
    "bytes of the other order are taken as they are": (
        "fastbp/_checks.py",
        [("value.dtype in (FLOAT32, FLOAT64) and", 'value.dtype.kind == "f" and')],
    ),
    "a mask is ignored": (
        "fastbp/_checks.py",
        [("    if np.ma.is_masked(value):\n", "    if False:\n")],
    ),
    "a cast to float32 is not cut": (
        "fastbp/_checks.py",
        [("    if array.dtype == FLOAT64 and dtype == FLOAT32:\n", "    if False:\n")],
    ),
    "only the first piece is looked at": (
        "fastbp/_checks.py",
        [
            (
                "for start in range(0, flat.size, _PIECE)",
                "for start in range(0, min(flat.size, 1), _PIECE)",
            )
        ],
    ),
    "the place that is named is the last good one": (
        "fastbp/_checks.py",
        [("np.argmin(np.isfinite(array))", "np.argmax(np.isfinite(array))")],
    ),
    "inputs of another width are taken": (
        "fastbp/samples.py",
        [("    if X.shape[1] != sizes[0]:\n", "    if False:\n")],
    ),
    "columns that lie apart are read as rows": (
        "fastbp/samples.py",
        [("    if (np.diff(at) != first.nbytes).any():\n", "    if False:\n")],
    ),
    "columns of an array of another order are read as rows": (
        "fastbp/samples.py",
        [(" or not base.flags.c_contiguous:", ":")],
    ),
    "columns of several arrays are read as rows of one": (
        "fastbp/samples.py",
        [("rest == 0 and rows.size == n * size", "rest == 0")],
    ),
    "columns between the numbers of an array are read as its rows": (
        "fastbp/samples.py",
        [("rest == 0 and rows.size", "rows.size")],
    ),
    "columns of another type are read as the first one's": (
        "fastbp/samples.py",
        [
            (
                "    itemsize = values[0].itemsize if type(values[0]) is np.ndarray else 0\n",
                "    itemsize = 0\n",
            )
        ],
    ),
    "targets of another width are taken": (
        "fastbp/samples.py",
        [("    elif targets and Y.shape[1] != sizes[-1]:\n", "    elif False:\n")],
    ),
    "labels are not looked at": (
        "fastbp/samples.py",
        [
            (
                "    if Y.ndim == 1:\n        _refuse_range(",
                "    if False:\n        _refuse_range(",
            )
        ],
    ),
    "targets serve as labels": (
        "fastbp/samples.py",
        [
            (
                '        if y == "labels" and not rows.has_labels:\n',
                "        if False:\n",
            )
        ],
    ),
    "no samples are as good as some": (
        "fastbp/samples.py",
        [
            (
                "    data = materialise(data, where)\n    if len(data) == 0:\n        raise",
                "    data = materialise(data, where)\n    if False:\n        raise",
            )
        ],
    ),
    "an iterator that was used up is an empty list": (
        "fastbp/samples.py",
        [("    if not pairs and iterator is data:\n", "    if False:\n")],
    ),
    "a Dataset of two lengths": (
        "fastbp/samples.py",
        [("        if len(x) != len(y):\n", "        if False:\n")],
    ),
    "a Dataset without the search for NaN": (
        "fastbp/samples.py",
        [('            _refuse_not_finite(self.X, lambda i, k: f"X[{i}, {k}]")\n', "")],
    ),
    "a Dataset without the search for NaN in Y": (
        "fastbp/samples.py",
        [
            (
                '            _refuse_not_finite(self.Y, lambda i, k: f"Y[{i}, {k}]")\n',
                "            pass\n",
            )
        ],
    ),
    "pairs without the search for NaN": (
        "fastbp/samples.py",
        [
            (
                "    if check_finite:\n        _refuse_not_finite(rows, lambda",
                "    if False:\n        _refuse_not_finite(rows, lambda",
            )
        ],
    ),
    "check_finite=False is ignored": (
        "fastbp/samples.py",
        [
            (
                "    if check_finite:\n        _refuse_not_finite(rows, lambda",
                "    if True:\n        _refuse_not_finite(rows, lambda",
            )
        ],
    ),
    "a column without the search for NaN": (
        "fastbp/samples.py",
        [
            (
                '    _refuse_not_finite(contiguous, lambda k, _: f"{where}[{k}]", of_data=False)\n',
                "",
            )
        ],
    ),
    "NaN in a row of columns is not seen": (
        "fastbp/samples.py",
        [
            (
                '        _refuse_not_finite(array.T, lambda k, j: f"{where}[{j}, {k}]", of_data=False)\n',
                "        pass\n",
            )
        ],
    ),
    "a matrix of the other way round is taken": (
        "fastbp/samples.py",
        [("if array.ndim != 2 or array.shape[0] != n_in:", "if array.ndim != 2:")],
    ),
    "columns of any shape are taken": (
        "fastbp/samples.py",
        [("    if array.shape != (size, 1):\n", "    if array.size != size:\n")],
    ),
    "a label of 7.5 is 7": (
        "fastbp/samples.py",
        [
            (
                "isinstance(number, Real) and int(number) == number",
                "isinstance(number, Real) and int(number) <= number",
            )
        ],
    ),
    "a label below 0 counts from the end": (
        "fastbp/samples.py",
        [("        if not 0 <= label < n_out:\n", "        if not label < n_out:\n")],
    ),
    "a label may be the number of outputs": (
        "fastbp/samples.py",
        [("if labels.size and labels.max() >= n:", "if labels.size and labels.max() > n:")],
    ),
    "labels of a Dataset may be below 0": (
        "fastbp/samples.py",
        [(" & (array >= 0) & (array < 2**31)", " & (array < 2**31)")],
    ),
    "a Dataset hands out its caller's view": (
        "fastbp/samples.py",
        [
            (
                "        # Views: a shape that is assigned to the caller's array changes nothing here.\n"
                "        self._X, self._Y = np.ascontiguousarray(x).view(), np.ascontiguousarray(y).view()",
                "        self._X, self._Y = np.ascontiguousarray(x), np.ascontiguousarray(y)",
            )
        ],
    ),
    "sample weights may be negative": (
        "fastbp/samples.py",
        [("or (array < 0).any():", "or False:")],
    ),
    "one layer is a network": (
        "fastbp/parameters.py",
        [("    if len(checked) < 2:\n", "    if False:\n")],
    ),
    "a network may be larger than any memory": (
        "fastbp/parameters.py",
        [("    if total > _MOST_PARAMETERS:\n", "    if False:\n")],
    ),
    "weights of another shape are taken": (
        "fastbp/parameters.py",
        [("            if array.shape != shape:\n", "            if False:\n")],
    ),
    "a missing layer is not missed": (
        "fastbp/parameters.py",
        [("        if len(arrays) != len(shapes):\n", "        if False:\n")],
    ),
    "weights that are not finite are trained on": (
        "fastbp/parameters.py",
        [("            if finite and not _checks.all_finite(array):\n", "            if False:\n")],
    ),
    "weights of another type are left so": (
        "fastbp/parameters.py",
        [("            if array.dtype != self.dtype:\n", "            if False:\n")],
    ),
    "a state that has changed in between is packed": (
        "fastbp/parameters.py",
        [
            (
                "        if not core.pack(self.layers, biases, weights, block):\n"
                '            raise RuntimeError("weights or biases were changed in the midst of a call")\n',
                "        core.pack(self.layers, biases, weights, block)\n",
            )
        ],
    ),
    "the workspace has two buffers, whatever a pass needs": (
        "fastbp/parameters.py",
        [("self.work(0, rows, n_threads, buffers)[1]", "self.work(0, rows, n_threads, 2)[1]")],
    ),
    "the workspace has room for one thread": (
        "fastbp/parameters.py",
        [("self.work(0, rows, n_threads, buffers)[1]", "self.work(0, rows, 1, buffers)[1]")],
    ),
    "a run goes on with another layout": (
        "fastbp/parameters.py",
        [("            if now != before:\n", "            if False:\n")],
    ),
    "a number is no target of one output": (
        "fastbp/samples.py",
        [("array.shape in ((), (1,)):", "array.shape in ((2,),):")],
    ),
    "numbers of one output are labels to gradients": (
        "fastbp/samples.py",
        [("    if sizes[-1] > 1 and not isinstance", "    if not isinstance")],
    ),
    "a Dataset does not look whether its memory is still there": (
        "fastbp/samples.py",
        [
            ('        core.refuse_stale("X", self._X)\n', ""),
            ('        core.refuse_stale("Y", self._Y)\n', ""),
        ],
    ),
    "the workspace lies over the blocks": (
        "fastbp/parameters.py",
        [("whole[start:end].reshape(buffers", "whole[: end - start].reshape(buffers")],
    ),
    "a thread's room lies over the workspace": (
        "fastbp/parameters.py",
        [("whole[end:].reshape(", "whole[start:][: n_threads * each].reshape(")],
    ),
    "moments begin anywhere": (
        "fastbp/parameters.py",
        [("        state[:] = 0\n", "        state[:] = 0.5\n")],
    ),
}
