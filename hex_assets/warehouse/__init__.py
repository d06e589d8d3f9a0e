"""Query histories of the warehouses, read as evidence of what each Hex project queries."""
