"""A generator judged: numbers that can be reproduced, and words that can be trusted.

reference.py  the real faces: what every model is held against
judgement.py  one model: its samples, numbers and nearest faces
words.py      what the numbers mean, for people who don't live with them
receipt.py    report.json and the tables that are printed
sheet.py      report.html
evaluate.py   all of it together: the verb
"""
