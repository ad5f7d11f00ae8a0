"""Reads of uninitialised memory, by valgrind's memcheck."""

import xml.etree.ElementTree as ElementTree

from lanes import workshop


def run(options):
    """Run programs/smoke.py; valgrind knows no AVX-512, so the lower SIMD levels are looked at."""
    workshop.needs("gcc", "valgrind")
    with workshop.copied() as folder:
        workshop.build(folder, FASTBP_FLAGS="-O1 -g", FASTBP_LEVELS="base x86v3")

        def reports(level, *arguments):
            """Return valgrind's reports in which a frame is ours."""
            results = folder / "-".join([level, *arguments])
            results.mkdir()
            found = workshop.command(
                folder,
                [str(workshop.PROGRAMS / "smoke.py"), *arguments],
                before=("valgrind", "-q", "--xml=yes", f"--xml-file={results}/%p.xml"),
                timeout=1800,
                PYTHONMALLOC="malloc",
                FASTBP_LEVEL=level,
            )
            if found.returncode:
                return [found.stdout]
            errors = (
                error
                for path in results.glob("*.xml")  # a process each
                for error in ElementTree.parse(path).getroot().iter("error")
                if not error.findtext("kind", "").startswith("Leak_")  # an interpreter has many
            )
            return [text for text in map(_text, errors) if "/fastbp/_" in text]

        def smoke(level):
            found = reports(level)
            return f"{len(found)} reports\n{found[0]}" if found else ""

        def control():
            return "" if reports("base", "control") else "a decision on noise was not reported"

        checks = {"a control that must be reported": control, "base": lambda: smoke("base")}
        if not options.short:
            checks["x86v3"] = lambda: smoke("x86v3")
        return workshop.judge(checks, options, workshop.processors())


def _text(error):
    """Return a report as lines: what, and each frame of its first stack."""
    what = error.findtext("what") or error.findtext("xwhat/text") or ""
    frames = [
        f"{frame.findtext('fn')} ({frame.findtext('file')}:{frame.findtext('line')}) "
        f"{frame.findtext('obj')}"
        for frame in error.find("stack").iter("frame")
    ]
    return "\n".join([what, *frames])
