"""The sections of the benchmark. Apart, because the modules that measure take a second to load."""

SECTIONS = (
    "import",
    "stages",
    "messages",
    "recognize",
    "reach",
    "node",
    "cameras",
    "flood",
    "soak",
)
"""What can be measured, in the order of measuring. The soak runs only when it is asked for."""
