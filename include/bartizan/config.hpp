/* A server to be: settings, listeners, who answers, who is told. */
#ifndef BARTIZAN_CONFIG_HPP
#define BARTIZAN_CONFIG_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "error.hpp"
#include "given.hpp"
#include "queue.hpp"
#include "request.hpp"
#include "tls.hpp"

namespace bartizan {

/// A row of the settings list, counted from 0 in the order in which a connection meets them; nothing past the end.
inline std::optional<bartizan_setting> setting_at(std::size_t index) {
    bartizan_setting row{};
    row.struct_size = sizeof row;
    bartizan_status status = bartizan_setting_at(index, &row);
    if (status == BARTIZAN_E_VALUE) return std::nullopt;
    detail::checked("bartizan_setting_at", status);
    return row;
}

/// A server to be.
class config {
  public:
    /// E_UNSUPPORTED if the loaded library does not serve programs compiled against this header.
    config() {
        detail::checked("bartizan_abi_check", bartizan_abi_check(BARTIZAN_ABI));
        raw_.reset(bartizan_config_new());
        if (!raw_) detail::checked("bartizan_config_new", BARTIZAN_E_PANIC);
    }

    /// Sets a setting in its unit, as a time, or as text ("10s", "16KiB", "off"). Nothing is clamped.
    template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
    void set(const char *key, Integer value) {
        set_up([&](auto err) { return bartizan_config_set(raw_.get(), key, detail::whole(value), err); });
    }
    void set(const char *key, milliseconds value) { set(key, std::string_view(detail::written(value))); }
    void set(const char *key, std::string_view value) {
        set_up([&](auto err) { return bartizan_config_set_text(raw_.get(), key, value.data(), value.size(), err); });
    }
    /// The value in its unit, BARTIZAN_OFF or BARTIZAN_AUTO.
    std::int64_t get(const char *key) const {
        std::int64_t value = 0;
        set_up([&](auto err) { return bartizan_config_get(raw_.get(), key, &value, err); });
        return value;
    }

    /// Adds a listener in cleartext ("127.0.0.1:0", "[::]:8080", "unix:/path"), or with TLS; its number.
    std::uint32_t listen(std::string_view address) { return listen(address, nullptr); }
    std::uint32_t listen(std::string_view address, const bartizan::tls &tls) { return listen(address, tls.get()); }
    /// Adds a listening socket of the program's; the library's from a successful start on.
    std::uint32_t listen_fd(std::int64_t socket) { return listen_fd(socket, nullptr); }
    std::uint32_t listen_fd(std::int64_t socket, const bartizan::tls &tls) { return listen_fd(socket, tls.get()); }

    /// Overrides a setting for one listener.
    void listener_set(std::uint32_t listener, const char *key, std::string_view value) {
        set_up([&](auto err) {
            return bartizan_config_listener_set_text(raw_.get(), listener, key, value.data(), value.size(), err);
        });
    }
    void listener_set(std::uint32_t listener, const char *key, milliseconds value) {
        listener_set(listener, key, std::string_view(detail::written(value)));
    }
    /// Overrides a setting for one server name of a listener.
    void server_name_set(std::uint32_t listener, std::string_view server_name, const char *key, std::string_view value) {
        std::string name = detail::terminated(server_name);
        set_up([&](auto err) {
            return bartizan_config_server_name_set_text(raw_.get(), listener, name.c_str(), key, value.data(),
                                                        value.size(), err);
        });
    }
    void server_name_set(std::uint32_t listener, std::string_view server_name, const char *key, milliseconds value) {
        server_name_set(listener, server_name, key, std::string_view(detail::written(value)));
    }
    /// Adds a network whose PROXY headers a listener believes.
    void trust_proxy(std::uint32_t listener, std::string_view cidr) {
        std::string network = detail::terminated(cidr);
        set_up([&](auto err) { return bartizan_config_trust_proxy(raw_.get(), listener, network.c_str(), err); });
    }

    /// Says who answers: `fn(bartizan::request)`, on the reactor (BARTIZAN_MODE_INLINE: must not block) or on a worker
    /// (BARTIZAN_MODE_WORKERS). It may answer at once, or move the request away and answer later; it returns nothing or a
    /// status. What it throws becomes 500, after `on_exception(std::exception_ptr)` was told.
    template <class Callable, class Told> void handler(std::uint32_t mode, Callable &&fn, Told &&on_exception) {
        using held = answering<std::decay_t<Callable>, std::decay_t<Told>>;
        void *given = detail::give(held{std::forward<Callable>(fn), std::forward<Told>(on_exception)});
        set_up([&](auto err) {
            return bartizan_config_handler(raw_.get(), mode, held::call, given, detail::given::drop, err);
        });
    }
    template <class Callable> void handler(std::uint32_t mode, Callable &&fn) {
        handler(mode, std::forward<Callable>(fn), [](const std::exception_ptr &) {});
    }

    /// Adds a queue that requests go to, with the records that it asks for: {BARTIZAN_EV_CONNECTION, BARTIZAN_EV_LOG,
    /// BARTIZAN_EV_REQUEST_END}.
    void queue(bartizan::queue &queue, std::initializer_list<std::uint32_t> records = {}) {
        std::uint64_t mask = 0;
        for (std::uint32_t kind : records) {
            if (kind > BARTIZAN_EV_REQUEST_END) throw error(BARTIZAN_E_VALUE, std::to_string(kind) + " is no event");
            mask |= std::uint64_t{1} << kind;
        }
        set_up([&](auto err) { return bartizan_config_queue(raw_.get(), queue.get(), mask, err); });
    }

    /// Calls `start(role)` and `stop(role)` on each thread of the library: BARTIZAN_ROLE_...
    template <class Start, class Stop> void thread_hooks(Start &&start, Stop &&stop) {
        using held = std::pair<std::decay_t<Start>, std::decay_t<Stop>>;
        auto on_start = [](void *user_data, std::uint32_t role) noexcept {
            detail::quietly([&] { detail::holder<held>::in(user_data).first(role); });
        };
        auto on_stop = [](void *user_data, std::uint32_t role) noexcept {
            detail::quietly([&] { detail::holder<held>::in(user_data).second(role); });
        };
        void *given = detail::give(held(std::forward<Start>(start), std::forward<Stop>(stop)));
        set_up([&](auto err) {
            return bartizan_config_thread_hooks(raw_.get(), on_start, on_stop, given, detail::given::drop, err);
        });
    }

    /// Calls `fn(const bartizan_connection_record &)` for each step of a connection. Must not block.
    template <class Callable> void on_connection(Callable &&fn) {
        observe(bartizan_config_on_connection, observed<Callable, bartizan_connection_record>, std::forward<Callable>(fn));
    }
    /// Calls `fn(const bartizan_request_record &)` once per request, when it ended. Must not block.
    template <class Callable> void on_request_end(Callable &&fn) {
        observe(bartizan_config_on_request_end, observed<Callable, bartizan_request_record>, std::forward<Callable>(fn));
    }
    /// Calls `fn(const bartizan_log_record &)` for log records up to `max_level` (BARTIZAN_LOG_...). Must not block.
    template <class Callable> void on_log(std::uint32_t max_level, Callable &&fn) {
        void *given = detail::give(std::forward<Callable>(fn));
        set_up([&](auto err) {
            return bartizan_config_on_log(raw_.get(), max_level, observed<Callable, bartizan_log_record>, given,
                                          detail::given::drop, err);
        });
    }

    const bartizan_config *get() const noexcept { return raw_.get(); }

  private:
    template <class Call> static void set_up(Call &&call) {
        detail::set_up([&](bartizan_error **err) { return call(err); });
    }

    std::uint32_t listen(std::string_view address, const bartizan_tls *tls) {
        std::uint32_t listener = 0;
        std::string to = detail::terminated(address);
        set_up([&](auto err) { return bartizan_config_listen(raw_.get(), to.c_str(), tls, &listener, err); });
        return listener;
    }
    std::uint32_t listen_fd(std::int64_t socket, const bartizan_tls *tls) {
        std::uint32_t listener = 0;
        set_up([&](auto err) { return bartizan_config_listen_fd(raw_.get(), socket, tls, &listener, err); });
        return listener;
    }

    template <class Callable, class Record> static void observed(void *user_data, const Record *record) noexcept {
        detail::quietly([&] { detail::holder<std::decay_t<Callable>>::in(user_data)(*record); });
    }
    template <class Hook, class Call, class Callable> void observe(Hook hook, Call call, Callable &&fn) {
        void *given = detail::give(std::forward<Callable>(fn));
        set_up([&](auto err) { return hook(raw_.get(), call, given, detail::given::drop, err); });
    }

    /// A handler, and who is told what it throws.
    template <class Callable, class Told> struct answering {
        Callable fn;
        Told on_exception;

        static bartizan_status call(void *user_data, const bartizan_request_view *view) noexcept {
            answering &self = detail::holder<answering>::in(user_data);
            bartizan::request request(view);
            try {
                return self.answer(std::move(request));
            } catch (const error &error) {
                // That the peer has left is the network's doing and tells nothing about the handler.
                if (error.code() != BARTIZAN_E_CANCELLED) self.tell();
                return error.code() < 0 ? error.code() : BARTIZAN_E_STATE;
            } catch (...) {
                self.tell();
                return BARTIZAN_E_STATE;
            }
        }

        bartizan_status answer(bartizan::request request) {
            if constexpr (std::is_same_v<decltype(fn(std::move(request))), bartizan_status>) {
                return fn(std::move(request));
            } else {
                fn(std::move(request));
                return BARTIZAN_OK;
            }
        }

        void tell() noexcept {
            detail::quietly([&] { on_exception(std::current_exception()); });
        }
    };

    detail::owned<bartizan_config, bartizan_config_free> raw_;
};

} // namespace bartizan

#endif
