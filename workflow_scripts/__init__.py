"""One thin entry module per Snakemake rule; the folders hold what they call."""
