"""A model -> its card, for people and for the Hugging Face Hub. Every number comes out of a file.

facts.py     what the files beside a model tell
head.py      the fields that the Hub reads
sections.py  the parts, in Markdown
write.py     the verb
"""
