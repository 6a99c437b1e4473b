"""What crosses a process boundary: ids, records, messages, their codec, and the words used for states.

Everybody may import this package; it imports none of the others.
"""
