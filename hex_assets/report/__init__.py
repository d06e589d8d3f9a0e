"""One self-contained page about the lineage of Hex, from stored frames.

Like the answers about impact, it imports no Dagster and asks no server.
"""
