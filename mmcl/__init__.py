"""Multi-modality co-learning for skeleton-based action recognition (MMCL, ACM MM'24; IKEM, ICASSP'24)."""

__version__ = "0.1.0"
