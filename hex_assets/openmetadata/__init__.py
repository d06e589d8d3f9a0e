"""OpenMetadata: read the catalog, plan what differs, publish only that."""
