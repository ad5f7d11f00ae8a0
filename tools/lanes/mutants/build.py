"""Bugs of setup.py."""

SETUP = "setup.py"

BUGS = {
    "a compiler gets flags that it does not know": (
        SETUP,
        [("[flag for flag in flags if flag in self.known]", "flags")],
    ),
    "a compiler gets Python's flags that it does not know": (
        SETUP,
        [("[word for word in given if word not in unknown]", "given")],
    ),
    "a level is built without its flag": (
        SETUP,
        [("self.known.issuperset(ext.level_flags[:1])", "True")],
    ),
    "nobody looks whether there is a compiler": (SETUP, [("self._look_for_tools()", "pass")]),
}
