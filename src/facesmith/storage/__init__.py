"""Where photos and faces are: a folder, an archive, a dataset or an address, read as names and bytes.

open_store.py         opens every source; archives inside archives
store.py              a folder or a file as names and bytes; files sorted by kind
archives.py           zip and tar as names and bytes
zip_names.py          names of files in a zip, whose encoding it need not state
seekable.py           files in archives as open files: a part of the archive, or a temporary copy
parquet.py            Parquet files of datasets as names and bytes, with their labels
parquet_columns.py    which columns of a Parquet file are pictures, and which are labels
addresses.py          files at addresses such as s3://
path_lists.py         text files that list paths and addresses
"""
