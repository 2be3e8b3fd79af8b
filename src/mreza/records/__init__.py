"""The shared state: signed records, how they are accepted, spread and reconciled."""
