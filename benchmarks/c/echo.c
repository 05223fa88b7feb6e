/* echo PORT THREADS: the original design, and nothing better.
 *
 * One lio_listio starts a read of standard input and one of the listening socket; main then
 * sleeps. Everything else happens in SIGEV_THREAD notifications, with glibc's default thread
 * attributes. The read of the listener fails at once (ENOTCONN): it is only a way to get a
 * thread, which blocks in accept(). "exit\n" or end of file on standard input ends the server.
 *
 * What it prints appears at once, as with ours and as the original does on a terminal: a write(2)
 * for each message.
 *
 * Mended because a measurement would trip over it: requests are zeroed, the port can be used
 * again at once, the backlog holds a burst, a reset or a short write ends one client and not the
 * server. */
#include <aio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;

static void completed(union sigval value);

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static struct aiocb *new_request(int fd)
{
    struct aiocb *cb = calloc(1, sizeof *cb);
    void *buffer = malloc(BUFSIZ);
    if (cb == NULL || buffer == NULL)
        die("malloc");
    cb->aio_fildes = fd;
    cb->aio_lio_opcode = LIO_READ;
    cb->aio_buf = buffer;
    cb->aio_nbytes = BUFSIZ;
    cb->aio_sigevent.sigev_notify = SIGEV_THREAD;
    cb->aio_sigevent.sigev_notify_function = completed;
    cb->aio_sigevent.sigev_value.sival_ptr = cb;
    return cb;
}

static void submit(struct aiocb *cb)
{
    if (aio_read(cb) == -1)
        die("aio_read");
}

static void on_stdin(struct aiocb *cb, const char *text, ssize_t n)
{
    if (n <= 0 || (n == 5 && memcmp(text, "exit\n", 5) == 0))
        exit(EXIT_SUCCESS);
    submit(cb);
}

static void on_listener(struct aiocb *cb)
{
    int fd = accept(listener, NULL, NULL);
    if (fd == -1) {
        if (errno != ECONNABORTED && errno != EINTR)
            die("accept");
        submit(cb);
        return;
    }
    printf("\x1b[0;32m[*] accept\x1b[0m\n");
    submit(cb);
    submit(new_request(fd));
}

static void close_client(struct aiocb *cb)
{
    close(cb->aio_fildes);
    printf("\x1b[0;31m[*] close\x1b[0m\n");
    free((void *)cb->aio_buf);
    free(cb);
}

static void on_client(struct aiocb *cb, const char *text, ssize_t n)
{
    if (n <= 0) {
        close_client(cb);
        return;
    }
    for (ssize_t sent = 0, more; sent < n; sent += more) {
        more = write(cb->aio_fildes, text + sent, (size_t)(n - sent));
        if (more == -1 && errno == EINTR)
            more = 0;
        if (more == -1) {
            close_client(cb);
            return;
        }
    }
    printf("%.*s", (int)n, text);
    submit(cb);
}

static void completed(union sigval value)
{
    struct aiocb *cb = value.sival_ptr;
    const char *text = (const char *)cb->aio_buf;
    ssize_t n = aio_error(cb) == 0 ? aio_return(cb) : -1;

    if (cb->aio_fildes == STDIN_FILENO)
        on_stdin(cb, text, n);
    else if (cb->aio_fildes == listener)
        on_listener(cb);
    else
        on_client(cb, text, n);
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT THREADS\n", argv[0]);
        return EXIT_FAILURE;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct aioinit pool = {.aio_threads = atoi(argv[2]), .aio_num = 64, .aio_idle_time = 1};
    int on = 1;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IONBF, 0);
    aio_init(&pool);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1)
        die("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(listener, SOMAXCONN) == -1)
        die("listen");

    struct aiocb *list[2] = {new_request(STDIN_FILENO), new_request(listener)};
    if (lio_listio(LIO_NOWAIT, list, 2, NULL) == -1)
        die("lio_listio");
    for (;;)
        pause();
}
