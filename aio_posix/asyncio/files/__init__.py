"""Open files with a position, a buffer and text, as the built-in open() makes them.

opened.py joins them to the requests of descriptors/, which no other module here knows.
"""
