"""Training as such: one loop for all networks of the project, see `mmcl.engine.loop`."""
