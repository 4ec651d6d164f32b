"""The machine and its files: everything that any other folder may use.

cpus.py               CPUs that this process may use
memory.py             memory that it may use; requests that need more
cgroups.py            the limits of its container
files.py              atomic writes, refusing to overwrite, hashes
commands.py           commands to paste into a shell
decode_text.py        bytes to text: UTF-8, UTF-16 or UTF-32
file_kinds.py         what a file is, by its first bytes
outputs.py            outputs of several files that a stopped command may replace
json_files.py         JSON that Facesmith writes, checked against a schema where it is read
lock.py               lock a folder against a second process
stopping.py           signals that stop a command
suggest_path.py       an existing path for one that does not exist
messages.py           texts made fit for messages: short, and without control characters
progress.py           progress bars, or plain lines in a log
seeds.py              parse and check seeds
attribute_options.py  parse attribute values such as smiling=1
argument_types.py     arguments that programs pass, checked against type hints
given_arrays.py       arrays that programs pass, checked
batches.py            batches of equal size, the last one padded
"""
