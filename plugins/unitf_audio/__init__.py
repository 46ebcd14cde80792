"""The audio modality of unitf."""
