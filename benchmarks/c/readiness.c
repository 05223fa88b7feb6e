/* readiness PORT select|poll|epoll: the synchronous alternative to echo.c.
 *
 * The same echo, messages and end ("exit\n" or end of file on standard input), in one thread that
 * asks which descriptors are ready and then reads. Everything but the asking is the same code for
 * the three. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = FD_SETSIZE }; /* descriptors: what select() can name */

static enum { SELECT, POLL, EPOLL } method;
static struct pollfd open_fds[MOST]; /* dense; the order does not matter */
static int n_open;
static int poller = -1;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (n_open == MOST || fd >= MOST) {
        errno = EMFILE;
        die("select");
    }
    open_fds[n_open++] = (struct pollfd){.fd = fd, .events = POLLIN};
    if (method == EPOLL && epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == -1)
        die("epoll_ctl");
}

static void drop(int fd)
{
    int i = 0;
    while (open_fds[i].fd != fd)
        i++;
    open_fds[i] = open_fds[--n_open];
    close(fd); /* which takes it out of the epoll set too */
    printf("\x1b[0;31m[*] close\x1b[0m\n");
}

/* Blocks, then writes the ready descriptors to `ready` and returns how many. */
static int ask_select(int ready[MOST])
{
    fd_set set;
    int n = 0, highest = 0;
    FD_ZERO(&set);
    for (int i = 0; i < n_open; i++) {
        FD_SET(open_fds[i].fd, &set);
        highest = open_fds[i].fd > highest ? open_fds[i].fd : highest;
    }
    if (select(highest + 1, &set, NULL, NULL, NULL) == -1)
        die("select");
    for (int i = 0; i < n_open; i++)
        if (FD_ISSET(open_fds[i].fd, &set))
            ready[n++] = open_fds[i].fd;
    return n;
}

static int ask_poll(int ready[MOST])
{
    int n = 0;
    if (poll(open_fds, (nfds_t)n_open, -1) == -1)
        die("poll");
    for (int i = 0; i < n_open; i++)
        if (open_fds[i].revents != 0)
            ready[n++] = open_fds[i].fd;
    return n;
}

static int ask_epoll(int ready[MOST])
{
    struct epoll_event events[MOST];
    int n = epoll_wait(poller, events, MOST, -1);
    if (n == -1)
        die("epoll_wait");
    for (int i = 0; i < n; i++)
        ready[i] = events[i].data.fd;
    return n;
}

static void on_client(int fd)
{
    char text[BUFSIZ];
    ssize_t n = read(fd, text, sizeof text);
    for (ssize_t sent = 0, more; sent < n; sent += more) {
        more = write(fd, text + sent, (size_t)(n - sent));
        if (more == -1) {
            n = -1;
            break;
        }
    }
    if (n <= 0)
        drop(fd);
    else
        printf("%.*s", (int)n, text);
}

int main(int argc, char *argv[])
{
    static int (*const ask[])(int[MOST]) = {ask_select, ask_poll, ask_epoll};
    static const char *const names[] = {"select", "poll", "epoll"};
    int chosen = 0;
    while (argc == 3 && chosen < 3 && strcmp(argv[2], names[chosen]) != 0)
        chosen++;
    if (argc != 3 || chosen == 3) {
        fprintf(stderr, "usage: %s PORT select|poll|epoll\n", argv[0]);
        return EXIT_FAILURE;
    }
    method = chosen;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)atoi(argv[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    if (listener == -1 || poller == -1)
        die("socket, epoll_create1");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(listener, SOMAXCONN) == -1)
        die("listen");
    watch(STDIN_FILENO);
    watch(listener);

    for (;;) {
        int ready[MOST];
        int n = ask[method](ready);
        for (int i = 0; i < n; i++) {
            if (ready[i] == STDIN_FILENO) {
                char line[6] = "";
                if (read(STDIN_FILENO, line, 5) <= 0 || strcmp(line, "exit\n") == 0)
                    return EXIT_SUCCESS;
            } else if (ready[i] == listener) {
                int fd = accept(listener, NULL, NULL);
                if (fd == -1)
                    die("accept");
                printf("\x1b[0;32m[*] accept\x1b[0m\n");
                watch(fd);
            } else {
                on_client(ready[i]);
            }
        }
    }
}
