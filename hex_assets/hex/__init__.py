"""Hex: what the workspace holds, read from Hex's public REST API."""
