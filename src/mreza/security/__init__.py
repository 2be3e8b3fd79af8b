"""Who is who, and what only they can read: identity, certificates, admission, sealing."""
