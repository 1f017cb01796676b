"""`mmcl fetch`: published weights, from the place that publishes them, a mirror or a folder, and checked."""
