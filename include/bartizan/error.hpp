/* What every call shares: the exception that a failure becomes, times, and texts and numbers on their way to C. Nothing here
 * knows a server. */
#ifndef BARTIZAN_ERROR_HPP
#define BARTIZAN_ERROR_HPP

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "../bartizan.h"

namespace bartizan {

using milliseconds = std::chrono::milliseconds;

/// A timeout: as long as it takes.
inline constexpr milliseconds forever{-1};

/// A call failed; nothing changed.
class error : public std::runtime_error {
  public:
    error(bartizan_status code, const std::string &message) : std::runtime_error(message), code_(code) {}

    /// BARTIZAN_E_...
    bartizan_status code() const noexcept { return code_; }
    /// Such as "E_VALUE".
    std::string_view name() const noexcept { return bartizan_status_name(code_); }

  private:
    bartizan_status code_;
};

/// The octets of a text of C.
inline std::string_view text(bartizan_str text) noexcept { return {text.ptr, text.len}; }

namespace detail {

/// Throws what a call on the hot path, which has no message, has failed with; passes what it has told otherwise.
inline bartizan_status checked(const char *call, bartizan_status status) {
    if (status < 0) throw error(status, std::string(call) + ": " + bartizan_status_name(status));
    return status;
}

/// As checked, for calls that send: false = the exchange is over.
inline bool sent(const char *call, bartizan_status status) {
    return status != BARTIZAN_E_CANCELLED && checked(call, status) >= 0;
}

/// Makes a set-up call, which takes the place for an error, and throws that error.
template <class Call> void set_up(Call &&call) {
    bartizan_error *raw = nullptr;
    bartizan_status status = call(&raw);
    if (status >= 0) return;
    std::unique_ptr<bartizan_error, decltype(&bartizan_error_free)> owned(raw, bartizan_error_free);
    throw error(status, bartizan_error_message(raw));
}

/// A copy for parameters that C wants terminated. A NUL inside would cut the text short, and so name something else.
inline std::string terminated(std::string_view text) {
    if (text.find('\0') != text.npos) throw error(BARTIZAN_E_VALUE, "a NUL inside of \"" + std::string(text) + "\"");
    return std::string(text);
}

/// The value of a setting. A huge unsigned number must not turn into BARTIZAN_OFF.
template <class Integer> std::int64_t whole(Integer value) {
    if constexpr (std::is_unsigned_v<Integer> && sizeof(Integer) >= sizeof(std::int64_t)) {
        if (value > static_cast<Integer>(std::numeric_limits<std::int64_t>::max()))
            throw error(BARTIZAN_E_VALUE, std::to_string(value) + " is out of range");
    }
    return static_cast<std::int64_t>(value);
}

/// With its unit, so that the library refuses a time for a setting that is none.
inline std::string written(milliseconds time) { return std::to_string(time.count()) + "ms"; }

template <class T, void (*Free)(T *)> struct freed {
    void operator()(T *object) const noexcept { Free(object); }
};

/// What belongs to a program object of C.
template <class T, void (*Free)(T *)> using owned = std::unique_ptr<T, freed<T, Free>>;

} // namespace detail

} // namespace bartizan

#endif
