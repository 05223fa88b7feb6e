"""Mistakes in the use of the compiled module, each in a line that ends in "# mistake"."""

from aio_posix._ffi import lib

queue = lib.queue_new()
inside: int = lib.gate_inside()
result: str = lib.gate_inside()  # mistake
lib.queue_clos(queue)  # mistake
lib.queue_wait(queue)  # mistake
lib.pool_init("20", 64, 1)  # mistake
lib.batch_free(queue)  # mistake
lib.AIO_CANCELED = 1  # mistake
lib.callback_stack = 1 << 20
