"""Reward functions, a module each, and what they pay to canned policies."""
