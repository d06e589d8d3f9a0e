"""Answers from stored frames: what in Hex depends on a table or column, and who would notice.

Nothing here imports Dagster or asks a server, so that an answer takes less than a second.
"""
