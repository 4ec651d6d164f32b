"""Files in and out: everything that other folders read, write or print.

cpus.py               CPUs that this process may use
memory.py             memory that it may use; requests that need more
cgroups.py            the limits of its container
files.py              atomic writes, refusing to overwrite, hashes
outputs.py            outputs of several files that a stopped command may replace
file_kinds.py         what a file is, by its first bytes
json_files.py         JSON that Facesmith writes, checked against a schema where it is read
store.py              a folder or a file as names and bytes; files sorted by kind
addresses.py          files at addresses such as s3://, and text files that list paths
archives.py           zip and tar, also inside each other, as names and bytes; opens every source
zip_names.py          names of files in a zip, whose encoding it need not state
seekable.py           files in archives as open files: a part of the archive, or a temporary copy
parquet.py            Parquet files of datasets as names and bytes, with their labels
parquet_columns.py    which columns of a Parquet file are pictures, and which are labels
jpeg_data.py          parts of a JPEG that were lost
pages.py              pages and frames of a file beyond the first, counted
pillow_guards.py      errors and warnings of Pillow
images.py             read photos, write PNG and JPEG, convert between uint8 and float, grids
original_photo.py     a photo with its own colors, profile and transparency, to paste a face into
color_profiles.py     colors of embedded profiles -> sRGB, and back; 16-bit and float gray -> 8 bits
argument_types.py     arguments that programs pass, checked against type hints
given_arrays.py       arrays that programs pass, checked
batches.py            batches of equal size, the last one padded
fonts.py              fonts for texts in any script
captions.py           images with text below or on the left
video.py              write MP4 and GIF
sheet_layout.py       columns, gap and enlargement of a sheet
provenance.py         metadata of synthetic images: what they are and how to draw them again
credentials.py        signed content credentials (C2PA)
lock.py               lock a folder against a second process
messages.py           texts made fit for messages: short, and without control characters
seeds.py              parse and check seeds
stopping.py           signals that stop a command
attribute_options.py  parse attribute values such as smiling=1
progress.py           progress bars, or plain lines in a log
html.py               the self-contained HTML pages of reports
charts.py             charts by matplotlib: PNG files, and SVG for these pages
"""
