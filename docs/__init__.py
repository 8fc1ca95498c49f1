"""Documentation; its tables that come from the code are made in `docs.tables`."""
