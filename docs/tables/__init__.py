"""Tables of the documentation that the code knows, and the command that writes them into the pages."""
