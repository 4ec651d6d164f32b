"""The recipes, one file each. A new file here is a new recipe; nothing else needs to know of it."""
