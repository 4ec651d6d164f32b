"""A run folder as one self-contained HTML page.

read_run.py          what the run folder contains, and what in it is missing or damaged
run_sections.py      the sections of the page
log_charts.py        the log as charts
explanations.py      how to read each figure
recipe_docstring.py  the recipe's docstring as parts of the page
rerun_commands.py    the commands that reproduce the run
write_report.py      the command
"""
