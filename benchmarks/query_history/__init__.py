"""How the cost of reading a query history grows; see README.md."""
