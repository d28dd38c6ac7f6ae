"""The library of the domain, by subject: pure functions on arrays, tables and typed settings."""
