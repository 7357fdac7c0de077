"""The command line `polymarket-storage`."""
