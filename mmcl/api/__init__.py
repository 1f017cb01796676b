"""What `import mmcl` offers: trained models, stores and results, in Python. See docs/python.md."""
