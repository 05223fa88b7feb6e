/* The echo server of 2016, retold with its seven faults for lesson 18. It tells on stderr what each
 * completion is: whose, aio_error, aio_return. */
#define _POSIX_C_SOURCE 200809L
#include <aio.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = BUFSIZ };

static int listener;

static void handler(union sigval value);

static struct aiocb *prepared(struct aiocb *cb, int fd)
{
    cb->aio_fildes = fd; /* 3: aio_reqprio is what malloc left there */
    cb->aio_lio_opcode = LIO_READ;
    cb->aio_buf = malloc(SIZE);
    cb->aio_nbytes = SIZE;
    cb->aio_offset = 0;
    cb->aio_sigevent.sigev_notify = SIGEV_THREAD;
    cb->aio_sigevent.sigev_notify_function = handler;
    cb->aio_sigevent.sigev_notify_attributes = NULL;
    cb->aio_sigevent.sigev_value.sival_ptr = cb;
    return cb;
}

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(EXIT_FAILURE); /* 6: whatever it was, for all clients */
    }
}

static void handler(union sigval value)
{
    struct aiocb *cb = value.sival_ptr;
    int error = aio_error(cb);
    if (error == -1) /* 2: never */
        check(1, "aio_error");
    char *text = (char *)cb->aio_buf;
    int n = (int)aio_return(cb);
    int fd = cb->aio_fildes;
    fprintf(stderr, "%s %d %d\n", fd == 0 ? "stdin" : fd == listener ? "listener" : "client",
            error, n);
    if (fd == 0) {
        text[n] = '\0'; /* 4: one too far when all of the buffer was read, or before its start */
        if (strcmp(text, "exit\n") == 0)
            exit(EXIT_SUCCESS);
        check(aio_read(cb) == -1, "aio_read"); /* 5: at the end of the file again and again */
    } else if (fd == listener) {
        int client = accept(listener, NULL, NULL); /* 1: this waits, and not the read */
        check(client == -1, "accept");
        struct aiocb *next = prepared(malloc(sizeof *next), client);
        check(aio_read(cb) == -1 || aio_read(next) == -1, "aio_read");
    } else if (n <= 0) {
        close(fd);
        free(text);
        free(cb);
    } else {
        text[n] = '\0';
        check(write(fd, text, (size_t)n) != n, "write");
        check(aio_read(cb) == -1, "aio_read"); /* 7: a silent client keeps one of twenty helpers */
    }
}

int main(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&name, size) || listen(listener, 5), "listen");
    getsockname(listener, (struct sockaddr *)&name, &size);
    printf("%d\n", ntohs(name.sin_port));
    fflush(stdout);
    struct aiocb cbs[2] = {0};
    struct aiocb *list[2] = {prepared(&cbs[0], STDIN_FILENO), prepared(&cbs[1], listener)};
    check(lio_listio(LIO_NOWAIT, list, 2, NULL) == -1, "lio_listio");
    for (;;)
        pause();
}
