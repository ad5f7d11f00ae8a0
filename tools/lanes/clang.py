"""The core tests on a build by clang, which must not complain of a flag."""

import re
from functools import partial

from lanes import workshop

# Of clang itself about its arguments, or of a pragma; not of code that Cython has written.
_COMPLAINT = r"(?m)^clang[^:]*: warning: .*|.*-Wunknown-pragmas.*"


def run(options):
    """Build with clang; run the core tests at each SIMD level, short: at the best one."""
    compiler = workshop.first(["clang", *(f"clang-{version}" for version in range(14, 40))])
    with workshop.copied() as folder:
        arguments = ["setup.py", "-q", "build_ext", "--inplace"]
        built = workshop.command(folder, arguments, CC=compiler)
        if built.returncode:
            raise workshop.BuildError(built.stdout)
        levels = workshop.levels(folder)

        def complaints():
            return "\n".join(re.findall(_COMPLAINT, built.stdout))

        def level(name):
            code = "import fastbp; print(fastbp.kernel_info()['compiler'])"
            found = workshop.command(folder, ["-c", code], FASTBP_LEVEL=name).stdout
            if not found.startswith("clang"):
                return f"expected a build by clang, got {found}"
            return workshop.core_tests(folder, name)

        checks = {f"{compiler} knows all flags and pragmas": complaints}
        for name in levels[:1] if options.short else levels:
            checks[f"core tests, level {name}"] = partial(level, name)
        return workshop.judge(checks, options, workshop.processors())
