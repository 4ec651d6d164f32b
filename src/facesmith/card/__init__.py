"""Write a model card for people and for the Hugging Face Hub. Every number comes from a file.

facts.py          what the files in the model's folder say about it
hub_fields.py     the front matter that the Hub reads
card_sections.py  the sections, in Markdown
write_card.py     the command
push.py           upload a model with its card
"""
