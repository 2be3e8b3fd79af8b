"""How fast, next to raw TLS in the same run: `python -m benchmarks`. README.md has the method."""
