"""How exact and how fast lineage is; see README.md."""
