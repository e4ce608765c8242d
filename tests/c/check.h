/* What the C tests share: checks that end the program, a server on a free port, a client that is nothing but a socket. */
#ifndef CHECK_H
#define CHECK_H

#include <bartizan.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)
#define EXPECT(status, call) expect((status), (call), #call, __FILE__, __LINE__)
/* A set-up call whose error must be `status` and say `words`; write it with &error. */
#define REFUSES(status, words, call) (EXPECT(status, call), refuses(&error, (words), #call, __FILE__, __LINE__))
#define RUN(test) (announce(#test), test(), announce(NULL))

void check(int holds, const char *condition, const char *file, int line);
void expect(bartizan_status wanted, bartizan_status got, const char *call, const char *file, int line);
void refuses(bartizan_error **error, const char *words, const char *call, const char *file, int line);
void announce(const char *test);

/* A cleartext server on 127.0.0.1, and how it ends: drained, waited for, freed. */
bartizan_server *serve(bartizan_config *config);
void stop(bartizan_server *server);

/* A fresh connection to the server's first listener. */
int dial(const bartizan_server *server);
void say(int peer, const char *octets);
/* Reads until the peer closes or `until` has come; NUL-terminated, at most cap - 1. -1 after 10 s of silence or a reset. */
long hear(int peer, char *buf, size_t cap, const char *until);
/* A request behind whose answer the connection ends. */
#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
/* One request on a connection of its own, the answer in `buf`. */
void talk(const bartizan_server *server, const char *request, char *buf, size_t cap);

/* poll for the queue's descriptor: 1 = readable. */
int readable(const bartizan_queue *queue, int timeout_ms);

void nap(long ms);

/* fork, as soon as every other thread of the process sleeps. */
pid_t fork_at_rest(void);

#ifdef __cplusplus
}
#endif

#endif
