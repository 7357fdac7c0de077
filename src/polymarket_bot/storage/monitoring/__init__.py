"""How a database stands, and what is wrong with it, in words with the remedy."""
