"""A run -> one self-contained page.

gather.py    what the run folder holds, and what of it is missing or damaged
commands.py  the command lines that do it again
figures.py   the log as charts
docstring.py the recipe's own words as parts of a page
explanations.py     how to read each figure
sections.py  all of it as the parts of a page, each with how to read it
write.py     the page
"""
