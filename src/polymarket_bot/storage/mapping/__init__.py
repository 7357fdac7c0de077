"""From models to SQL: a model bound to its table, statements generated from it, and batches."""
