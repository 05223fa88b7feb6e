"""Mistakes in the use of the compiled module, each in a line that ends in "# mistake"."""

from aio_posix._ffi import ffi, lib

request = ffi.new("struct request *")
word: int = lib.request_poll(request)
result: str = lib.request_poll(request)  # mistake
lib.request_pol(request)  # mistake
lib.request_poll()  # mistake
lib.list_suspend([request], 1)  # mistake
lib.plan_free(lib.queue_new())  # mistake
lib.AIO_CANCELED = 1  # mistake
lib.callback_stack = 1 << 20
