"""One link's life: hello, keepalive, batches, priorities."""
