"""The shared state: signed records, accepted, spread and reconciled."""
