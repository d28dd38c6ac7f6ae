"""The panel: its contract, slices of any size, checks, import, simulation, stock-quarters."""
