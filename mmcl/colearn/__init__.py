"""What is learned beside classification: one file per term, each stating its name, settings and inputs."""
