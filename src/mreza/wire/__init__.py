"""Bytes: frames, envelopes, packets and records, each bounded before it is read."""
