"""From scores to results: metrics, ensembles, zero-shot transfer."""
