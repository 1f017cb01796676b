"""Skeletons in the files that other tools exchange: CTR-GCN's npz, pyskl's pickles, CrosSCLR's npy with pickles.

Readers like those of the data sets, writers from a store, and `mmcl convert` between all of them. Arrays stay in
their files: clips are read and written one at a time.
"""
