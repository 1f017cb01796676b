"""Skeletons: clean-up, joint maps, streams and transforms."""
