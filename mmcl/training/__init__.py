"""Training and scoring of one stream."""
