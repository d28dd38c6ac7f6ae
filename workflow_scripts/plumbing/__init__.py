"""What every module may use, and what knows nothing of holdings: command line, files, errors,
code digest, start of a run, random streams."""
