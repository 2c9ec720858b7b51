"""What `neural_tangents.py` is made of: the work, its size, the other process and the tables."""
