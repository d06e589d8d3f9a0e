"""Stage 3: SQL to the tables it reads, and those to tables of the catalog."""
