"""How forecasts are judged: leakage audits, metrics, tables, paired comparisons."""
