"""Label tables beside pictures -> named columns of 0 and 1, one value for each picture.

table_text.py   bytes of a table -> columns and rows, whatever its encoding and separator
records.py      JSON lines and Parquet tables -> columns and rows
table_files.py  which files are label tables, and the four formats that are read
sidecars.py     label files of one picture each -> a table
join.py         rows -> pictures, by name
attributes.py   columns of texts -> attributes: yes and no, one per class, or numbers
folders.py      names of folders -> persons or classes
read.py         all of this for one folder or archive
"""

from facesmith.labels.attributes import Attributes, attributes_of
from facesmith.labels.read import Labels, read_labels

__all__ = ["Attributes", "Labels", "attributes_of", "read_labels"]
