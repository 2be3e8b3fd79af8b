"""Sockets, clocks, files, executors: the only place that touches the world."""
