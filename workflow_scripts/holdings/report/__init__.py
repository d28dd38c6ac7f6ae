"""What people look at: figures, training curves, the summary over firm types, the page."""
