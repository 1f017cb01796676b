"""What `mmcl doctor` looks at: the environment, devices, storage and the configuration, each with its remedy."""
