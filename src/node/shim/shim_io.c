// Bytes between a container, its log and those who are attached. Every descriptor is
// non-blocking. A client that does not read holds the container's output back, as a terminal that
// does not scroll would; one that goes away is dropped.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

#define BACKLOG_MAX 65536

static char chunk[16384];

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pend(struct shim_pending *w, const char *bytes, size_t len)
{
    char *p = realloc(w->ptr, w->len + len);
    if (!p)
        return;
    memcpy(p + w->len, bytes, len);
    w->ptr = p;
    w->len += len;
}

static void forget(struct shim_pending *w)
{
    free(w->ptr);
    w->ptr = NULL;
    w->len = 0;
}

// Writes what it takes, keeps the rest. False when the other side is gone.
static bool push(int fd, struct shim_pending *w, const char *bytes, size_t len)
{
    if (w->len) {
        pend(w, bytes, len);
        return true;
    }
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            pend(w, bytes, len);
            return true;
        }
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool flush(int fd, struct shim_pending *w)
{
    struct shim_pending old = *w;
    w->ptr = NULL;
    w->len = 0;
    bool good = push(fd, w, old.ptr, old.len);
    free(old.ptr);
    return good;
}

static void close_input(struct shim_proc *p)
{
    forget(&p->to_in);
    if (p->flags & SHIM_TTY) {
        if (p->tty >= 0 && write(p->tty, "\4", 1) < 0)
            return; // the terminal is gone: nobody reads
    } else {
        shut(&p->in);
    }
}

static void client_output(struct shim_client *c, int stream, const char *bytes, size_t len)
{
    if (c->out[stream] < 0 || push(c->out[stream], &c->wait[stream], bytes, len))
        return;
    shut(&c->out[stream]);
    forget(&c->wait[stream]);
}

bool shim_attach(struct shim_proc *p, uint32_t streams, const int *fds, size_t fds_len)
{
    struct shim_client *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    c->in = c->out[0] = c->out[1] = -1;
    int *to[3] = {&c->in, &c->out[0], &c->out[1]};
    size_t used = 0;
    for (int i = 0; i < 3; i++)
        if (streams & (1u << i)) {
            if (used == fds_len) {
                free(c);
                return false;
            }
            *to[i] = fds[used++];
            fcntl(*to[i], F_SETFL, fcntl(*to[i], F_GETFL) | O_NONBLOCK);
        }
    if (!(p->flags & SHIM_STDIN))
        shut(&c->in);
    for (int i = 0; i < 2; i++) {
        if (p->backlog[i].len)
            client_output(c, i, p->backlog[i].ptr, p->backlog[i].len);
        forget(&p->backlog[i]);
    }
    p->keep_backlog = false;
    c->next = p->clients;
    p->clients = c;
    return true;
}

static void output(struct shim_proc *p, int stream, const char *bytes, size_t len)
{
    shim_log_write(&p->log, stream, bytes, len);
    for (struct shim_client *c = p->clients; c; c = c->next)
        client_output(c, stream, bytes, len);
    if (p->keep_backlog && p->backlog[stream].len + len <= BACKLOG_MAX)
        pend(&p->backlog[stream], bytes, len);
}

static int source(const struct shim_proc *p, int stream)
{
    if (p->kind == SHIM_IS_EXEC) // its terminal is only carried through here
        return -1;
    if (p->flags & SHIM_TTY)
        return stream == 0 ? p->tty : -1;
    return p->out[stream];
}

// False when there is nothing more for now.
static bool read_output(struct shim_proc *p, int stream)
{
    int fd = source(p, stream);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n > 0) {
        output(p, stream, chunk, (size_t)n);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    shut(p->flags & SHIM_TTY ? &p->tty : &p->out[stream]); // EOF; EIO is a terminal's EOF
    return false;
}

static bool held_back(const struct shim_proc *p)
{
    for (const struct shim_client *c = p->clients; c; c = c->next)
        if (c->wait[0].len || c->wait[1].len)
            return true;
    return false;
}

static int input(const struct shim_proc *p)
{
    return p->flags & SHIM_TTY ? p->tty : p->in;
}

// Fills SHIM_POLL_PER_PROC entries, then three for each client, in the order of the list.
size_t shim_io_poll(struct shim_proc *p, struct pollfd *fds)
{
    bool hold = held_back(p);
    fds[0] = (struct pollfd){p->console, POLLIN, 0};
    fds[1] = (struct pollfd){hold ? -1 : source(p, 0), POLLIN, 0};
    fds[2] = (struct pollfd){hold ? -1 : source(p, 1), POLLIN, 0};
    fds[3] = (struct pollfd){p->to_in.len ? input(p) : -1, POLLOUT, 0};
    size_t n = SHIM_POLL_PER_PROC;
    for (struct shim_client *c = p->clients; c; c = c->next) {
        fds[n++] = (struct pollfd){p->to_in.len || !p->started ? -1 : c->in, POLLIN, 0};
        for (int i = 0; i < 2; i++)
            fds[n++] = (struct pollfd){c->out[i], c->wait[i].len ? POLLOUT : 0, 0};
    }
    return n;
}

static void client_ready(struct shim_proc *p, struct shim_client *c, const struct pollfd *fds)
{
    if (fds[0].revents && c->in >= 0) {
        ssize_t n = read(c->in, chunk, sizeof chunk);
        if (n > 0 && input(p) >= 0 && !push(input(p), &p->to_in, chunk, (size_t)n))
            close_input(p);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            shut(&c->in);
            if (p->flags & SHIM_STDIN_ONCE)
                close_input(p);
        }
    }
    for (int i = 0; i < 2; i++) {
        short got = fds[1 + i].revents;
        if (c->out[i] < 0 || !got)
            continue;
        bool good = !(got & (POLLERR | POLLNVAL));
        if (good && c->wait[i].len)
            good = flush(c->out[i], &c->wait[i]);
        if (!good) {
            shut(&c->out[i]);
            forget(&c->wait[i]);
        }
    }
}

static void drop_idle_clients(struct shim_proc *p)
{
    for (struct shim_client **at = &p->clients; *at;) {
        struct shim_client *c = *at;
        if (p->info.ended)
            for (int i = 0; i < 2; i++)
                if (!c->wait[i].len)
                    shut(&c->out[i]);
        if (p->info.ended)
            shut(&c->in);
        if (c->in >= 0 || c->out[0] >= 0 || c->out[1] >= 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        free(c);
    }
}

void shim_io_ready(struct shim_proc *p, const struct pollfd *fds)
{
    if (fds[1].revents)
        read_output(p, 0);
    if (fds[2].revents)
        read_output(p, 1);
    if (fds[3].revents && input(p) >= 0 && !flush(input(p), &p->to_in))
        close_input(p);
    size_t n = SHIM_POLL_PER_PROC;
    for (struct shim_client *c = p->clients; c; c = c->next, n += 3)
        client_ready(p, c, fds + n);
    drop_idle_clients(p);
}

void shim_io_drain(struct shim_proc *p)
{
    for (int i = 0; i < 2; i++)
        while (read_output(p, i))
            ;
    shut(&p->in);
    shut(&p->out[0]);
    shut(&p->out[1]);
    shut(&p->tty);
    shut(&p->console);
    forget(&p->to_in);
    shim_log_end(&p->log);
}

void shim_io_release(struct shim_proc *p)
{
    drop_idle_clients(p);
}

void shim_io_close(struct shim_proc *p)
{
    for (struct shim_client *c; (c = p->clients);) {
        p->clients = c->next;
        shut(&c->in);
        for (int i = 0; i < 2; i++) {
            shut(&c->out[i]);
            forget(&c->wait[i]);
        }
        free(c);
    }
    forget(&p->backlog[0]);
    forget(&p->backlog[1]);
}
