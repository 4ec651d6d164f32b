"""Evaluate a generator: reproducible metrics next to those of real faces, and verdicts in plain words.

reference.py          the real faces that every model is compared with
model_result.py       one model: its samples, metrics and nearest faces
attribute_shares.py   how often attributes occur in the data and among samples: intervals, a table, sentences
measure_attributes.py labels and a probe -> these shares
condition_results.py  the same for each condition of a conditional model
verdicts.py           what the numbers mean, and the table of metrics
evaluation_json.py    report.json
evaluation_page.py    report.html
evaluate.py           the command
"""
