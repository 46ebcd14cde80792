"""Small models of every family: `CASES` maps a name to a function that builds the model."""
