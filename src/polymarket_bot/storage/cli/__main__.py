"""`python -m polymarket_bot.storage.cli` is `polymarket-storage`."""

from polymarket_bot.storage.cli import main

main()
