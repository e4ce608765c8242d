/* A plugin that is unloaded while its server runs: the library stays (nodelete), so that its threads do not run into nothing.
 * usage: unload libbartizan.so */
#define _DEFAULT_SOURCE
#include <bartizan.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

static bartizan_status (*respond)(bartizan_request, uint32_t, const bartizan_header *, size_t, const void *, size_t);
static bartizan_status (*release)(bartizan_request);

static bartizan_status handle(void *user_data, const bartizan_request_view *view) {
    (void)user_data;
    respond(view->request, 200, NULL, 0, "still here", 10);
    return release(view->request);
}

/* ISO C knows no way from a data pointer to a function; POSIX promises this one. */
static void look_up(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    CHECK(found);
    memcpy(function, &found, sizeof found);
}

int main(int argc, char **argv) {
    bartizan_config *(*config_new)(void);
    bartizan_status (*listen_on)(bartizan_config *, const char *, const bartizan_tls *, uint32_t *, bartizan_error **);
    bartizan_status (*handler)(bartizan_config *, uint32_t, bartizan_request_fn, void *, bartizan_drop_fn, bartizan_error **);
    bartizan_status (*start)(const bartizan_config *, bartizan_server **, bartizan_error **);
    bartizan_status (*address_of)(const bartizan_server *, uint32_t, char *, size_t, size_t *);
    void (*config_free)(bartizan_config *);
    bartizan_config *config;
    bartizan_server *server;
    struct sockaddr_in to;
    char address[64], reply[512] = "";
    size_t len = 0;
    ssize_t n;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (!library) fprintf(stderr, "%s\n", dlerror());
    CHECK(argc == 2 && peer >= 0 && library);
    look_up(library, "bartizan_config_new", &config_new);
    look_up(library, "bartizan_config_free", &config_free);
    look_up(library, "bartizan_config_listen", &listen_on);
    look_up(library, "bartizan_config_handler", &handler);
    look_up(library, "bartizan_server_start", &start);
    look_up(library, "bartizan_server_address", &address_of);
    look_up(library, "bartizan_respond", &respond);
    look_up(library, "bartizan_request_release", &release);
    config = config_new();
    CHECK(!listen_on(config, "127.0.0.1:0", NULL, NULL, NULL));
    CHECK(!handler(config, BARTIZAN_MODE_WORKERS, handle, NULL, NULL, NULL));
    CHECK(!start(config, &server, NULL));
    CHECK(!address_of(server, 0, address, sizeof address, &len));
    config_free(config);
    CHECK(!dlclose(library));
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)atoi(strchr(address, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(!connect(peer, (struct sockaddr *)&to, sizeof to));
    CHECK(send(peer, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 46, 0) == 46);
    for (len = 0; (n = recv(peer, reply + len, sizeof reply - 1 - len, 0)) > 0; len += (size_t)n) ;
    CHECK(strstr(reply, "\r\n\r\nstill here"));
    CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD));
    close(peer);
    printf("ok a_server_outlives_the_plugin_that_is_unloaded\n");
    return 0;
}
