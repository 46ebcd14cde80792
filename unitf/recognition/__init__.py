"""Recognition: makes a recipe of the data that a person gives, by asking the registered classes."""
