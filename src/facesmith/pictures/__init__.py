"""Pictures in and out, and what is made of them: sheets, films, charts and HTML pages.

images.py             read photos, write PNG and JPEG, convert between uint8 and float, grids
color_profiles.py     colors of embedded profiles -> sRGB, and back; 16-bit and float gray -> 8 bits
pages.py              pages and frames of a file beyond the first, counted
jpeg_data.py          parts of a JPEG that were lost
pillow_guards.py      errors and warnings of Pillow
original_photo.py     a photo with its own colors, profile and transparency, to paste a face into
sheet_layout.py       columns, gap and enlargement of a sheet
fonts.py              fonts for texts in any script
captions.py           images with text below or on the left
video.py              write MP4 and GIF
provenance.py         metadata of synthetic images: what they are and how to draw them again
credentials.py        signed content credentials (C2PA)
charts.py             charts by matplotlib: PNG files, and SVG for the pages
html.py               the self-contained HTML pages of reports
"""
