/* A running server: its addresses, its numbers, its end. */
#ifndef BARTIZAN_SERVER_HPP
#define BARTIZAN_SERVER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "error.hpp"
#include "tls.hpp"

namespace bartizan {

/// Open connections by phase and closed ones by reason, from one snapshot; the index is the id.
struct counts {
    std::vector<std::uint64_t> open_by_phase;
    std::vector<std::uint64_t> closed_by_reason;
};

/// A running server. Its end shuts it down at once and waits until the last callback has returned, so that none outlives what
/// it refers to; in a callback, where waiting is impossible, the rest ends by itself.
class server {
  public:
    /// Starts it; returns when every listener accepts.
    explicit server(const config &config) {
        bartizan_server *raw = nullptr;
        detail::set_up([&](bartizan_error **err) { return bartizan_server_start(config.get(), &raw, err); });
        raw_.reset(raw);
    }

    /// Such as "127.0.0.1:45123", with the port that the system chose.
    std::string address(std::uint32_t listener = 0) const {
        return reply("bartizan_server_address", [&](char *buf, std::size_t cap, std::size_t *len) {
            return bartizan_server_address(raw_.get(), listener, buf, cap, len);
        });
    }

    /// Replaces identities, policy and keys of a listener, for new handshakes.
    void update_tls(std::uint32_t listener, const tls &tls) {
        detail::set_up([&](bartizan_error **err) {
            return bartizan_server_update_tls(raw_.get(), listener, tls.get(), err);
        });
    }

    /// Ends it: what is in flight may complete within `grace`, or drain_timeout. Returns at once.
    void shutdown(std::optional<milliseconds> grace = {}) {
        detail::checked("bartizan_server_shutdown", bartizan_server_shutdown(raw_.get(), grace ? grace->count() : -1));
    }
    /// Waits until a server that was shut down has ended; false = `timeout` passed. E_DEADLOCK on a thread of the library.
    bool wait(milliseconds timeout = forever) {
        bartizan_status status = bartizan_server_wait(raw_.get(), timeout.count());
        return status != BARTIZAN_E_TIMEOUT && detail::checked("bartizan_server_wait", status) >= 0;
    }
    /// Gives freed memory pages back to the system.
    void trim() { detail::checked("bartizan_server_trim", bartizan_server_trim(raw_.get())); }

    /// One consistent snapshot.
    bartizan_metrics metrics() const {
        bartizan_metrics metrics{};
        metrics.struct_size = sizeof metrics;
        detail::checked("bartizan_server_metrics", bartizan_server_metrics(raw_.get(), &metrics));
        return metrics;
    }
    bartizan::counts counts() const {
        bartizan::counts counts;
        std::uint32_t phases = 0, reasons = 0;
        while (bartizan_phase_name(phases)) phases++;
        while (bartizan_reason_name(reasons)) reasons++;
        counts.open_by_phase.resize(phases);
        counts.closed_by_reason.resize(reasons);
        detail::checked("bartizan_server_counts",
                        bartizan_server_counts(raw_.get(), counts.open_by_phase.data(), phases,
                                               counts.closed_by_reason.data(), reasons));
        return counts;
    }
    /// All metrics as OpenMetrics 1.0 text.
    std::string metrics_text() const {
        return reply("bartizan_server_metrics_text", [&](char *buf, std::size_t cap, std::size_t *len) {
            return bartizan_server_metrics_text(raw_.get(), buf, cap, len);
        });
    }

    bartizan_server *get() const noexcept { return raw_.get(); }

  private:
    static void end(bartizan_server *raw) noexcept {
        bartizan_server_shutdown(raw, 0);
        bartizan_server_wait(raw, -1);
        bartizan_server_free(raw);
    }

    /// A text whose length is not known before; it may grow between two calls.
    template <class Call> static std::string reply(const char *name, Call &&call) {
        std::string text(256, '\0');
        std::size_t len = 0;
        bartizan_status status;
        while ((status = call(text.data(), text.size(), &len)) == BARTIZAN_E_LIMIT && len >= text.size())
            text.resize(len + len / 8 + 1);
        detail::checked(name, status);
        text.resize(len);
        return text;
    }

    detail::owned<bartizan_server, end> raw_;
};

} // namespace bartizan

#endif
