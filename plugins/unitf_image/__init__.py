"""The image modality of unitf."""
