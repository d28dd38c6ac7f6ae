"""Who forecasts: training stages, baselines, and their tables of predictions."""
