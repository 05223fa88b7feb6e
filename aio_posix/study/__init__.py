"""See how glibc's AIO works: a model of it, what a live process is doing, what this system
allows.
"""
