"""All that knows ms-swift or torch: trainer, store, base model, demo model, generation, rewards plugin."""
