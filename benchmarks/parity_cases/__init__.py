"""Small models of every family, made by their own libraries: name → function without arguments."""
