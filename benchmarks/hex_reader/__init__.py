"""How many requests, and minutes at 30 a minute, reading a Hex workspace takes."""
