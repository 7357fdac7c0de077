"""What is in a database and who may use it: made, migrated, held against the tables, granted."""
