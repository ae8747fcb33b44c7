"""The stages in order, recipes, the store, reports, training, and the command line."""
