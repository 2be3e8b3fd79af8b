"""Whom could we dial, and when."""
