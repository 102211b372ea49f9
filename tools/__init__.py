"""Commands to run from a checkout, `python -m tools.NAME`; each is a thin layer over `fetal_tf`."""
