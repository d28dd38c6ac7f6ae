"""Domain library: pure functions on arrays, tables and typed arguments.

Nothing in this package knows Snakemake, a command line or a config dictionary.
"""
