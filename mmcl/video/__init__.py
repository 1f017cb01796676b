"""From a recording to one picture per clip: decode, find the people, crop, join, encode.

Images are RGB uint8 arrays (H, W, 3) throughout; boxes are x1, y1, x2, y2 in pixels of the recording.
"""
