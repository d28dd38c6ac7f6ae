"""All that knows ms-swift or torch: trainer, store, base model, demo model, completions, rewards plugin."""
