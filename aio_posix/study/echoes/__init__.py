"""The same echo server eight times, and what each costs: python -m aio_posix.study.echoes.

servers.py has the servers, clients.py their clients, counting.py the system calls, __main__.py the
table.
"""
