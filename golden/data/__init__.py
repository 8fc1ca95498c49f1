"""Images and where they come from: files, folders, archives, and the classes of their labels."""
