"""What can be configured: the typed settings, composed of those beside the code, their checks,
and which rule uses which."""
