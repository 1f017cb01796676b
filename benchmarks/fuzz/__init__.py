"""What `benchmarks/robustness.py` consists of."""
