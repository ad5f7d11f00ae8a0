"""Bugs of what is written to files, and read from them."""

STORAGE = "fastbp/files.py"
TABLES = "fastbp/cli/tables.py"
PICKLES = "fastbp/pickles.py"
DATASETS = "fastbp/datasets.py"
CLI = "fastbp/cli/__init__.py"

BUGS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "the digest is not looked at": (
        STORAGE,
        [('if digest.hexdigest() != metadata["sha256"]:', "if False:")],
    ),
    "arrays are not part of the digest": (STORAGE, [("            digest.update(raw)\n", "")]),
    "an array that changes while it is written is let through": (
        STORAGE,
        [("if digest.hexdigest() != found:", "if False:")],
    ),
    "headers of any length": (
        STORAGE,
        [("<= min(_MOST_HEADER, size - 8)", "<= size - 8")],
    ),
    "the header may have another form": (
        STORAGE,
        [("    _refuse_other_form(lambda: _header(metadata, tensors) == header, where)\n", "")],
    ),
    "facts may have another form": (
        STORAGE,
        [('    _refuse_other_form(lambda: _json(facts) == metadata["facts"], where)\n', "")],
    ),
    "data behind the arrays is let through": (
        STORAGE,
        [("    if end != size:", "    if end > size:")],
    ),
    "offsets are not looked at": (
        STORAGE,
        [("if not same or offsets != [begin, end]:", "if False:")],
    ),
    "shapes larger than the file": (
        STORAGE,
        [("type(n) is int and 0 < n <= size", "type(n) is int and 0 < n")],
    ),
    "a value is written out at any length": (
        "fastbp/errors.py",
        [("return words if len(words) <= _MOST else", "return words if words else")],
    ),
    "an integer without a text is an error of Python's": (
        "fastbp/errors.py",
        [("except (ValueError, RecursionError):", "except RecursionError:")],
    ),
    "a checkpoint may hold any seed": (
        "fastbp/_checks.py",
        [("    if number >= 2**64:\n", "    if False:\n")],
    ),
    "mean squares may be negative": (
        "fastbp/training/checkpoint.py",
        [("if not all((array >= 0).all() for", "if not all((array > -1).all() or True for")],
    ),
    "moments may be infinite": (
        "fastbp/training/checkpoint.py",
        [("(layers if i < blocks - squares else mean_squares)", "mean_squares")],
    ),
    "a large seed is cut": (
        "fastbp/training/train.py",
        [("return seed if seed < 2**64 else int", "return seed % 2**64 if True else int")],
    ),
    "any version is read": (STORAGE, [("if version != str(VERSION):", "if version is None:")]),
    "any kind is read": (STORAGE, [("if kind not in kinds:", "if False:")]),
    "the file is not made to last": (
        STORAGE,
        [("            os.fsync(file.fileno())\n", "")],
    ),
    "a file is made before the block that clears it away": (
        STORAGE,
        [
            (
                "    try:\n        with FileIO(temporary",
                '    FileIO(temporary, "x").close()\n    os.unlink(temporary)\n    try:\n'
                "        with FileIO(temporary",
            )
        ],
    ),
    "the handle of a folder may be lost": (
        STORAGE,
        [
            (
                "handles.extend(map(os.open, [folder], [os.O_RDONLY]))",
                "handle = os.open(folder, os.O_RDONLY)\n        handles.append(handle)",
            )
        ],
    ),
    "the folder is not made to last": (STORAGE, [("    _sync_folder(folder)\n", "")]),
    "the old file is written over": (
        STORAGE,
        [("temporary = os.path.join(folder, f", "temporary = target or os.path.join(folder, f")],
    ),
    "a failure leaves its file behind": (
        STORAGE,
        [("            os.unlink(temporary)\n", "            pass\n")],
    ),
    "one write is thought to write all": (
        STORAGE,
        [
            (
                "            view = view[os.write(handle, view) :]",
                "            os.write(handle, view)\n            break",
            )
        ],
    ),
    "the permissions of the old file are lost": (
        STORAGE,
        [("    os.fchmod(handle, stat.S_IMODE(old.st_mode))\n", "    pass\n")],
    ),
    "an NPZ header may claim any size": (
        TABLES,
        [("if size != info.file_size and", "if False and")],
    ),
    "an NPZ archive may claim any size": (
        TABLES,
        [("if size > packed *", "if False and size > packed *")],
    ),
    "an archive may hold more than its file": (
        TABLES,
        [("min(info.compress_size, file_size)", "info.compress_size")],
    ),
    "1_0 is a number of a CSV file": (
        TABLES,
        [('if _FOREIGN.search("".join(cells)):', "if False:")],
    ),
    "1_0 is a number elsewhere": (
        TABLES,
        [
            (
                "    return _NUMBER.fullmatch(cell) is not None\n",
                "    return _NUMBER.match(cell) is not None\n",
            )
        ],
    ),
    "a name of another format gets JSON silently": (
        STORAGE,
        [
            (
                "return suffix if suffix in _OTHER_FORMATS and not",
                'return suffix if suffix == ".x" and not',
            )
        ],
    ),
    "names are printed as they are": (
        CLI,
        [("    if words.isprintable():\n", "    if True:\n")],
    ),
    "a change of direction is printed": (
        CLI,
        [('("Cc", "Cf", "Cs", "Zl", "Zp")', '("Cc", "Cs", "Zl", "Zp")')],
    ),
    "joiners are escaped": (CLI, [(' and c not in "\\u200c\\u200d"', "")]),
    "a feature may be the label": (TABLES, [("    if target in features:\n", "    if False:\n")]),
    "a file's label may be a feature": (TABLES, [(" or label in features", "")]),
    "a file's features may be the same": (TABLES, [("len({*features}) < n_in or ", "")]),
    "a pickle may name anything": (
        PICKLES,
        [
            (
                '            raise ValueError(f"a reference to {name[:80]!r}")\n',
                "            return\n",
            )
        ],
    ),
    "a pickle may have any number of codes": (
        PICKLES,
        [("in range(_MOST_CODES):", "in range(10**9):")],
    ),
    "a pickle may hold any number of bytes": (
        PICKLES,
        [("if n < 0 or self.bytes_left < 0:", "if n < 0:")],
    ),
    "a pickle gets the memory that it claims": (
        PICKLES,
        [("self.read(min(n, _PIECE))", "self.read(n)")],
    ),
    "a pickle may share its tuples": (
        PICKLES,
        [("if type(value) is tuple or long:", "if long:")],
    ),
    "an escape is cut in two": (
        PICKLES,
        [("                cut = last\n", "                pass\n")],
    ),
    "data behind a pickle is let through": (
        PICKLES,
        [("        if read(1):", "        if False:")],
    ),
    "Fortran's order is C's": (PICKLES, [('"F" if fortran is True else "C"', '"C"')]),
    "an array of a pickle may lack bytes": (
        PICKLES,
        [("    if size != len(data):\n", "    if False:\n")],
    ),
    "pixels of 255 stay": (DATASETS, [("    if high > 1:\n", "    if high > 255:\n")]),
    "the current folder is not looked at": (
        DATASETS,
        [('places = [Path(), Path("data")', 'places = [Path("data")')],
    ),
    "a list may hold any number of images": (
        DATASETS,
        [("if not 0 < n <= _MOST_IMAGES:", "if not 0 < n:")],
    ),
    "pixels may be negative": (
        DATASETS,
        [("if not (low >= 0 and high <= 255):", "if not high <= 255:")],
    ),
    "a pipe is waited for": (
        STORAGE,
        [("if not stat.S_ISREG(os.stat(path).st_mode):", "if False:")],
    ),
    "checkpoints describe an optimizer in another form": (
        "fastbp/optimizers.py",
        [('f"{option.name}={value!r}"', 'f"{option.name}: {value!r}"')],
    ),
}
