// What the C++ tests share: the checks and the client of the C tests, made to hear exceptions and to close their sockets.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <bartizan.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

extern "C" {
#include "../c/check.h"
}

#define POST(fields) "POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n" fields "\r\n"

/* The expression throws bartizan::error with this code, and the words are in its message. */
#define THROWS(status, words, ...) \
    throws((status), (words), [&] { static_cast<void>(__VA_ARGS__); }, #__VA_ARGS__, __FILE__, __LINE__)

inline void throws(bartizan_status wanted, std::string_view words, const std::function<void()> &call, const char *text,
                   const char *file, int line) {
    try {
        call();
    } catch (const bartizan::error &error) {
        expect(wanted, error.code(), text, file, line);
        check(error.name() == bartizan_status_name(wanted), "error.name()", file, line);
        if (std::string_view(error.what()).find(words) == words.npos) check(0, error.what(), file, line);
        return;
    }
    check(0, text, file, line);
}

/// A connection to the first listener.
class peer {
  public:
    explicit peer(const bartizan::server &server) : socket_(dial(server.get())) {}
    peer(const bartizan::server &server, const char *octets) : peer(server) { say(octets); }
    peer(const peer &) = delete;
    peer &operator=(const peer &) = delete;
    ~peer() { close(socket_); }

    void say(const char *octets) { ::say(socket_, octets); }
    /// What comes until `until`, or until the end; "(reset)" after a reset or 10 s of silence.
    std::string hear(const char *until = nullptr) {
        std::string buf(1 << 20, '\0');
        long len = ::hear(socket_, buf.data(), buf.size(), until);
        return len < 0 ? "(reset)" : buf.substr(0, static_cast<std::size_t>(len));
    }

  private:
    int socket_;
};

inline std::string ask(const bartizan::server &server, const char *request) { return peer(server, request).hear(); }

inline bool begins(std::string_view text, std::string_view words) { return text.substr(0, words.size()) == words; }
inline bool ends(std::string_view text, std::string_view words) {
    return text.size() >= words.size() && text.substr(text.size() - words.size()) == words;
}

/// A cleartext server on a free port.
inline bartizan::server serve(bartizan::config &config) {
    config.listen("127.0.0.1:0");
    config.set(BARTIZAN_IO_THREADS, 2);
    config.set(BARTIZAN_WORKER_THREADS, 2);
    return bartizan::server(config);
}

template <class Handler> bartizan::server serve(std::uint32_t mode, Handler &&handler) {
    bartizan::config config;
    config.handler(mode, std::forward<Handler>(handler));
    return serve(config);
}

/// A value that one thread puts and another awaits.
template <class T> class mailbox {
  public:
    void put(T value) {
        std::lock_guard<std::mutex> held(lock_);
        value_ = std::move(value);
        changed_.notify_all();
    }
    T take() {
        std::unique_lock<std::mutex> held(lock_);
        CHECK(changed_.wait_for(held, std::chrono::seconds(20), [this] { return value_.has_value(); }));
        return *std::exchange(value_, std::nullopt);
    }

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    std::optional<T> value_;
};

/// A callable's capture whose end can be seen.
class witness {
  public:
    explicit witness(int &ended) : ended_(&ended) {}
    witness(witness &&other) noexcept : ended_(std::exchange(other.ended_, nullptr)) {}
    witness &operator=(witness &&) = delete;
    ~witness() {
        if (ended_) ++*ended_;
    }

  private:
    int *ended_;
};

#endif
