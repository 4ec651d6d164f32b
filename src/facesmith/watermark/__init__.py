"""An invisible watermark in generated faces, and a detector that needs nothing but the picture.

key.py        a key -> 128 random patterns, two in each 8x8 block of a frame of 64x64 pixels
embed.py      change faces slightly, so that each pattern's strength becomes a multiple of a step
measure.py    how well a frame fits: a score, and the probability that chance reaches it
find_mark.py  where the frame is: cropped, enlarged, on a sheet, inside a larger picture
marking.py    which marks a command puts on its pictures: watermark, metadata, signed credentials

Method: spread-transform dither modulation (Chen and Wornell, "Quantization index modulation", IEEE Transactions on
Information Theory 47, 2001, section V.B), in the low and middle frequencies of 8x8 block DCTs.
"""
