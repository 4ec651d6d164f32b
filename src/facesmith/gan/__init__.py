"""What GAN training consists of, without any particular network or recipe.

contracts: the interface between recipes and training: Generator, Discriminator, Player, Turn, Objective ...
losses: GAN losses, gradient penalties and the objectives that combine them
vae: the loss terms of a variational autoencoder
balance: rules by which a player waits for the other
augment: differentiable augmentation
recipe, recipe_options: the base class of recipes, their registry and their options
text: what a tutorial does differently from the recipe that reproduces it
list_recipes: the command `facesmith recipes`
"""
