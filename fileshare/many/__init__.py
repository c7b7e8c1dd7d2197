"""What is done with many files by one call: move, copy, delete and tag them, and undo it.

All or nothing: when one file is refused, nothing is changed, and the refusal names the files that caused it. With
`partial` the others go on, and the answer lists those that were refused.
"""
