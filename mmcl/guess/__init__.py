"""What a folder of recordings holds, guessed from its files: `mmcl init --data`."""
