"""Windows of consecutive quarters: finding, sampling, history, labels."""
