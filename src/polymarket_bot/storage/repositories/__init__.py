"""Questions and commands in the bot's words."""
