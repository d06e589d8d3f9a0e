"""How many requests, and how long, publishing to OpenMetadata takes."""
