"""What a model reads and writes: numbers, targets, prompts, conversations, completions."""
