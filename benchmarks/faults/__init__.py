"""How fast real nodes notice what breaks, and heal: `python -m benchmarks.faults`."""
