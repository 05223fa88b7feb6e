"""Awaited reads, writes and syncs of descriptors, who does them, and in which order.

bare.py is what users call, and files/ moves its bytes by descriptor.py.
"""
