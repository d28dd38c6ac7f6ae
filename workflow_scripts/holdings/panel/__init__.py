"""The panel: its columns, slices of any size, checks, import, simulation, stock-quarters."""
