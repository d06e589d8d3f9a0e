"""An OpenMetadata-compatible catalog in one SQLite file: the sandbox's stand-in for a server."""
