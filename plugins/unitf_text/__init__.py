"""The text modality of unitf."""
