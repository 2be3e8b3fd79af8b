"""Settings, one module a section; `mesh` joins them."""
