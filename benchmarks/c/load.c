/* load PORT pingpong CLIENTS SECONDS   prints messages/s load PORT silent CLIENTS
 * prints the seconds until every client has its echo
 *
 * A cheap client for an echo server on 127.0.0.1: one thread, epoll, 64-byte messages, every byte
 * compared. In both modes the clients connect first. "pingpong": each sends, waits for the echo,
 * sends the next. "silent": prints "connected", waits for a line on standard input, then all send
 * at once.
 *
 * A wrong byte, a byte too many, a closed connection or 5 seconds without a single byte from any
 * client end it with status 1; SIGALRM ends it after LIMIT seconds over what was asked for. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, STALL_MS = 5000, LIMIT = 120, EVENTS = 256 };
static const double WARM_UP = 0.2; /* seconds: every client has had its first echoes */

struct client {
    int fd;
    unsigned got;
    uint64_t sequence;
    unsigned char echo[MESSAGE + 1]; /* room to see a byte too many */
};

static struct client *clients;
static long n_clients;
static int poller;

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "load: %s\n", why);
    exit(EXIT_FAILURE);
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* No two messages of a run are alike: 2^64 / golden ratio spreads (client, sequence, word). Letters
 * only, because the server prints what it gets. */
static void compose(const struct client *client, unsigned char *message)
{
    uint64_t state = ((uint64_t)(client - clients) << 40) ^ client->sequence;
    for (int i = 0; i < MESSAGE; i++) {
        state = state * 0x9E3779B97F4A7C15u + 1;
        message[i] = (unsigned char)('a' + (state >> 60));
    }
}

static void talk(struct client *client)
{
    unsigned char message[MESSAGE];
    client->sequence++;
    client->got = 0;
    compose(client, message);
    if (send(client->fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
        die("send");
}

/* True when the echo is whole. */
static bool listen_to(struct client *client)
{
    unsigned char expected[MESSAGE];
    ssize_t n = recv(client->fd, client->echo + client->got, sizeof client->echo - client->got, 0);
    if (n == -1)
        die("recv");
    if (n == 0)
        fail("the server closed a connection");
    client->got += (unsigned)n;
    if (client->got < MESSAGE)
        return false;
    compose(client, expected);
    if (client->got > MESSAGE || memcmp(client->echo, expected, MESSAGE) != 0)
        fail("an echo differs from what was sent");
    return true;
}

static int wait_for(struct epoll_event *events)
{
    int ready;
    while ((ready = epoll_wait(poller, events, EVENTS, STALL_MS)) == -1)
        if (errno != EINTR)
            die("epoll_wait");
    if (ready == 0)
        fail("no byte came for 5 seconds");
    return ready;
}

static void connect_all(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == -1)
        die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == -1)
        die("setrlimit");
    poller = epoll_create1(0);
    clients = calloc((size_t)n_clients, sizeof *clients);
    if (poller == -1 || clients == NULL)
        die("epoll_create1, calloc");
    for (struct client *c = clients; c < clients + n_clients; c++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        int on = 1;
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (c->fd == -1)
            die("socket");
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) == -1)
            die("connect");
        if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1)
            die("setsockopt");
        if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) == -1)
            die("epoll_ctl");
    }
}

/* Sends one message from every client, then again after each echo until `again_until`; waits for
 * all echoes; returns how many came back after `count_from`. */
static unsigned long converse(double count_from, double again_until)
{
    struct epoll_event events[EVENTS];
    unsigned long counted = 0;
    for (long i = 0; i < n_clients; i++)
        talk(&clients[i]);
    for (long waiting = n_clients; waiting > 0;) {
        int ready = wait_for(events);
        double t = now();
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!listen_to(client))
                continue;
            counted += t >= count_from && t < again_until;
            if (t < again_until)
                talk(client);
            else
                waiting--;
        }
    }
    return counted;
}

static void nothing_more(void)
{
    char byte;
    for (long i = 0; i < n_clients; i++) {
        if (recv(clients[i].fd, &byte, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
            fail("the server sent more than its client, or closed");
        close(clients[i].fd);
    }
}

int main(int argc, char *argv[])
{
    bool silent = argc == 4 && strcmp(argv[2], "silent") == 0;
    bool pingpong = argc == 5 && strcmp(argv[2], "pingpong") == 0;
    if (!silent && !pingpong) {
        fprintf(stderr, "usage: %s PORT pingpong CLIENTS SECONDS | PORT silent CLIENTS\n", argv[0]);
        return EXIT_FAILURE;
    }
    double seconds = pingpong ? atof(argv[4]) : 0;
    n_clients = atol(argv[3]);
    if (n_clients < 1 || seconds < 0 || seconds > 600)
        fail("CLIENTS is at least 1, SECONDS at most 600");
    alarm((unsigned)seconds + LIMIT);
    connect_all(atoi(argv[1]));

    double result;
    if (pingpong) {
        double begin = now() + WARM_UP;
        result = (double)converse(begin, begin + seconds) / seconds;
    } else {
        puts("connected");
        fflush(stdout);
        if (getchar() == EOF)
            fail("standard input ended before the clients could talk");
        double begin = now();
        converse(begin, begin);
        result = now() - begin;
    }
    nothing_more();
    printf("%.3f\n", result);
    return EXIT_SUCCESS;
}
