/* A request while it lives: `exchange` names it and has every call, `request` owns a reference and shows what was asked. */
#ifndef BARTIZAN_REQUEST_HPP
#define BARTIZAN_REQUEST_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "error.hpp"
#include "fields.hpp"
#include "given.hpp"

namespace bartizan {

class request;

/// Names an exchange without owning it. A copy may be kept for ever: once the request was released, every call throws E_HANDLE.
class exchange {
  public:
    exchange() noexcept = default;
    explicit exchange(bartizan_request id) noexcept : id_(id) {}

    bartizan_request get() const noexcept { return id_; }
    explicit operator bool() const noexcept { return id_ != 0; }
    bool operator==(const exchange &other) const noexcept { return id_ == other.id_; }
    bool operator!=(const exchange &other) const noexcept { return id_ != other.id_; }

    /// One more owner.
    request retain() const;

    // -- answer: false = the exchange is over --

    /// Answers in one piece; everything is copied.
    bool respond(std::uint32_t code, const fields &headers, std::string_view body) const {
        detail::raw_fields raw(headers.data(), headers.size());
        return detail::sent("bartizan_respond",
                            bartizan_respond(id_, code, raw.data(), raw.size(), body.data(), body.size()));
    }
    bool respond(std::uint32_t code, std::string_view body = {}) const { return respond(code, {}, body); }

    /// Answers in one piece without a copy: a string, a vector of octets, or whatever has data() and size(), moves here.
    template <class Content> bool respond_owned(std::uint32_t code, const fields &headers, Content &&content) const {
        using held = std::decay_t<Content>;
        static_assert(sizeof(*std::data(std::declval<held &>())) == 1, "content is octets");
        detail::raw_fields raw(headers.data(), headers.size());
        void *given = detail::give(std::forward<Content>(content));
        // Read where it lies now: a short string moves its octets with itself.
        const held &body = detail::holder<held>::in(given);
        return detail::sent("bartizan_respond_owned",
                            bartizan_respond_owned(id_, code, raw.data(), raw.size(), std::data(body), std::size(body),
                                                   detail::given::drop, given));
    }

    /// Sends an informational response, such as 103 early hints, before the answer.
    bool inform(std::uint32_t code, const fields &headers) const {
        detail::raw_fields raw(headers.data(), headers.size());
        return detail::sent("bartizan_response_informational",
                            bartizan_response_informational(id_, code, raw.data(), raw.size()));
    }

    /// Begins an answer that is written piece by piece; a length is announced and then enforced.
    bool begin(std::uint32_t code, const fields &headers = {}, std::optional<std::uint64_t> content_length = {}) const {
        detail::raw_fields raw(headers.data(), headers.size());
        std::int64_t length = content_length ? detail::whole(*content_length) : -1;
        return detail::sent("bartizan_response_begin",
                            bartizan_response_begin(id_, code, raw.data(), raw.size(), length));
    }

    /// Writes all of it, waiting at most `timeout` for room each time: E_TIMEOUT, and on a reactor thread E_DEADLOCK instead.
    bool write(std::string_view content, milliseconds timeout = forever) const {
        while (!content.empty()) {
            std::optional<std::size_t> accepted = try_write(content);
            if (accepted && !*accepted) accepted = write_some(content, timeout);
            if (!accepted) return false;
            if (!*accepted) detail::checked("bartizan_response_write", BARTIZAN_E_TIMEOUT);
            content.remove_prefix(*accepted);
        }
        return true;
    }
    /// Writes what there is room for; 0 = none now: arm_response. Nothing = the exchange is over.
    std::optional<std::size_t> try_write(std::string_view content) const {
        return write_some(content, milliseconds::zero());
    }

    /// Ends an answer that was begun.
    bool finish(const fields &trailers = {}) const {
        detail::raw_fields raw(trailers.data(), trailers.size());
        return detail::sent("bartizan_response_finish", bartizan_response_finish(id_, raw.data(), raw.size()));
    }

    /// Ends the exchange without a (complete) answer: a reset.
    bool abort() const { return detail::sent("bartizan_response_abort", bartizan_response_abort(id_)); }

    /// Asks for one BARTIZAN_EV_WRITABLE, by the queue or on_ready.
    bool arm_response() const { return detail::sent("bartizan_response_arm", bartizan_response_arm(id_)); }

    // -- content: a lost rest must not pass for the end, so that these throw E_CANCELLED --

    /// Copies content into `buf`: octets, 0 = complete. Waits at most `timeout`: E_TIMEOUT, and on a reactor thread E_DEADLOCK
    /// instead.
    std::size_t read(void *buf, std::size_t cap, milliseconds timeout = forever) const {
        std::optional<std::size_t> n = try_read(buf, cap);
        if (!n) n = read_some(buf, cap, timeout);
        return n ? *n : (detail::checked("bartizan_body_read", BARTIZAN_E_TIMEOUT), 0);
    }
    /// Copies what is here: octets, 0 = complete; nothing = nothing now: arm_body.
    std::optional<std::size_t> try_read(void *buf, std::size_t cap) const {
        return read_some(buf, cap, milliseconds::zero());
    }
    /// All of the content, which max_body_bytes bounds, waiting at most `timeout` for each piece.
    std::string read_all(milliseconds timeout = forever) const {
        std::string content;
        std::array<char, 16384> piece;
        while (std::size_t n = read(piece.data(), piece.size(), timeout)) content.append(piece.data(), n);
        return content;
    }

    /// Shows the content that is here without taking it, until the next consume or read: empty = complete, nothing = nothing now.
    std::optional<std::string_view> peek() const {
        const void *octets = nullptr;
        std::size_t len = 0;
        bartizan_status status = detail::checked("bartizan_body_peek", bartizan_body_peek(id_, &octets, &len));
        if (status == BARTIZAN_AGAIN) return std::nullopt;
        return std::string_view(static_cast<const char *>(octets), len);
    }
    /// Takes the first `n` octets of it, so that the peer may send more.
    void consume(std::size_t n) const { detail::checked("bartizan_body_consume", bartizan_body_consume(id_, n)); }

    /// Asks for one BARTIZAN_EV_BODY, by the queue or on_ready.
    void arm_body() const { detail::checked("bartizan_body_arm", bartizan_body_arm(id_)); }

    /// The trailer fields, once the content is complete.
    received_fields trailers() const {
        const bartizan_header *data = nullptr;
        std::size_t count = 0;
        detail::checked("bartizan_body_trailers", bartizan_body_trailers(id_, &data, &count));
        return {data, count};
    }

    // -- limits and life --

    /// Moves a limit of this request, in its unit, as a time, or as text ("10s").
    template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
    void set(const char *key, Integer value) const {
        detail::checked("bartizan_request_set", bartizan_request_set(id_, key, detail::whole(value)));
    }
    void set(const char *key, milliseconds value) const { set(key, std::string_view(detail::written(value))); }
    void set(const char *key, std::string_view value) const {
        detail::checked("bartizan_request_set_text", bartizan_request_set_text(id_, key, value.data(), value.size()));
    }

    /// The time left on the clock that a timeout bounds; nothing = off.
    std::optional<milliseconds> remaining(const char *key) const {
        std::int64_t left = 0;
        detail::checked("bartizan_request_remaining", bartizan_request_remaining(id_, key, &left));
        if (left == BARTIZAN_OFF) return std::nullopt;
        return milliseconds(left);
    }

    /// Marks it; its events carry the mark from now on.
    void tag(std::uint64_t tag) const { detail::checked("bartizan_request_tag", bartizan_request_tag(id_, tag)); }

    /// Why the exchange was cancelled (bartizan_reason_name), if it was.
    std::optional<std::uint32_t> cancelled() const {
        std::uint32_t reason = 0;
        bartizan_status status = bartizan_request_cancelled(id_, &reason);
        if (status == BARTIZAN_E_CANCELLED) return reason;
        detail::checked("bartizan_request_cancelled", status);
        return std::nullopt;
    }

    /// Calls `fn(exchange, reason)` when the exchange is cancelled. Once per request, and not with a queue.
    template <class Callable> void on_cancel(Callable &&fn) const {
        using held = std::decay_t<Callable>;
        auto call = [](void *user_data, bartizan_request id, std::uint32_t reason) noexcept {
            detail::quietly([&] { detail::holder<held>::in(user_data)(exchange(id), reason); });
        };
        void *given = detail::give(std::forward<Callable>(fn));
        detail::checked("bartizan_request_on_cancel",
                        bartizan_request_on_cancel(id_, call, given, detail::given::drop));
    }

    /// Calls `fn(exchange, what)` for armed readiness: BARTIZAN_EV_BODY, BARTIZAN_EV_WRITABLE. As on_cancel.
    template <class Callable> void on_ready(Callable &&fn) const {
        using held = std::decay_t<Callable>;
        auto call = [](void *user_data, bartizan_request id, std::uint32_t what) noexcept {
            detail::quietly([&] { detail::holder<held>::in(user_data)(exchange(id), what); });
        };
        void *given = detail::give(std::forward<Callable>(fn));
        detail::checked("bartizan_request_on_ready", bartizan_request_on_ready(id_, call, given, detail::given::drop));
    }

  protected:
    bartizan_request id_ = 0;

  private:
    std::optional<std::size_t> write_some(std::string_view content, milliseconds timeout) const {
        std::size_t accepted = 0;
        bartizan_status status =
            bartizan_response_write(id_, content.data(), content.size(), timeout.count(), &accepted);
        if (!detail::sent("bartizan_response_write", status)) return std::nullopt;
        return accepted;
    }

    std::optional<std::size_t> read_some(void *buf, std::size_t cap, milliseconds timeout) const {
        std::size_t n = 0;
        bartizan_status status = bartizan_body_read(id_, buf, cap, timeout.count(), &n);
        if (detail::checked("bartizan_body_read", status) == BARTIZAN_AGAIN) return std::nullopt;
        return n;
    }
};

/// Owns one reference to a request. The last one that ends without an answer gives 500; it may be moved to any thread and any
/// later time. All that it shows lives as long as an owner.
class request : public exchange {
  public:
    request() noexcept = default;
    /// Takes one reference over, with the view that came with it.
    explicit request(const bartizan_request_view *view) noexcept : exchange(view->request), view_(view) {}
    request(request &&other) noexcept
        : exchange(std::exchange(other.id_, 0)), view_(std::exchange(other.view_, nullptr)) {}
    request &operator=(request &&other) noexcept {
        request(std::move(other)).swap(*this);
        return *this;
    }
    ~request() { reset(); }

    /// Releases it now.
    void reset() noexcept {
        view_ = nullptr;
        if (bartizan_request id = std::exchange(id_, 0)) bartizan_request_release(id);
    }
    /// Gives the reference to the caller, for bartizan_request_release.
    bartizan_request release() noexcept {
        view_ = nullptr;
        return std::exchange(id_, 0);
    }
    void swap(request &other) noexcept {
        std::swap(id_, other.id_);
        std::swap(view_, other.view_);
    }

    /// Everything, in the structure of C. E_HANDLE for a request that was moved or released.
    const bartizan_request_view &view() const {
        if (!view_) detail::checked("bartizan::request", BARTIZAN_E_HANDLE);
        return *view_;
    }

    std::string_view method() const { return text(view().method); }
    std::string_view scheme() const { return text(view().scheme); }
    std::string_view authority() const { return text(view().authority); }
    std::string_view target() const { return text(view().target); }
    std::string_view path() const { return text(view().path); }
    std::string_view query() const { return text(view().query); }
    std::string_view peer_ip() const { return text(view().peer_ip); }
    std::string_view local_ip() const { return text(view().local_ip); }
    std::uint32_t peer_port() const { return view().peer_port; }
    std::uint32_t local_port() const { return view().local_port; }
    /// 10, 11 or 20.
    std::uint32_t http_version() const { return view().http_version; }
    std::uint32_t listener() const { return view().listener; }
    /// HTTP/2 stream id; 0 = HTTP/1.
    std::uint32_t stream() const { return view().stream; }
    bartizan_connection connection() const { return view().connection; }
    bool has_body() const { return view().flags & BARTIZAN_VIEW_HAS_BODY; }
    /// The whole content, if it was small enough to wait for.
    std::optional<std::string_view> body() const {
        if (!(view().flags & BARTIZAN_VIEW_BODY_BUFFERED)) return std::nullopt;
        return text(view().body);
    }
    std::optional<std::uint64_t> content_length() const {
        if (view().content_length < 0) return std::nullopt;
        return static_cast<std::uint64_t>(view().content_length);
    }
    /// NULL = cleartext.
    const bartizan_tls_info *tls() const { return view().tls; }

    /// Names are in lower case.
    received_fields headers() const { return {view().headers, view().header_count}; }
    /// The value of the `nth` field of this name, in any case.
    std::optional<std::string_view> header(std::string_view name, std::size_t nth = 0) const {
        bartizan_str value{};
        bartizan_status status = bartizan_request_header(id_, name.data(), name.size(), nth, &value);
        if (status == BARTIZAN_E_VALUE) return std::nullopt;
        detail::checked("bartizan_request_header", status);
        return text(value);
    }
    /// A certificate of the client's chain in DER, its own at index 0.
    std::optional<std::string_view> peer_certificate(std::size_t index = 0) const {
        const void *der = nullptr;
        std::size_t len = 0;
        bartizan_status status = bartizan_request_peer_certificate(id_, index, &der, &len);
        if (status == BARTIZAN_E_VALUE) return std::nullopt;
        detail::checked("bartizan_request_peer_certificate", status);
        return std::string_view(static_cast<const char *>(der), len);
    }

  private:
    const bartizan_request_view *view_ = nullptr;
};

inline request exchange::retain() const {
    const bartizan_request_view *view = nullptr;
    detail::checked("bartizan_request_retain", bartizan_request_retain(id_));
    detail::checked("bartizan_request_get", bartizan_request_get(id_, &view));
    return request(view);
}

} // namespace bartizan

#endif
