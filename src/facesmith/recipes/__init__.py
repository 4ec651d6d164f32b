"""The recipes, one file each. Every file in this folder is registered as a recipe; no other file names them."""
