"""One thin entry module per Snakemake rule, and below `holdings/` the library they call."""
