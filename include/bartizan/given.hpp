/* What the program gives to C as user data, and how it is called and comes back. Which callbacks there are is said where they
 * are set. */
#ifndef BARTIZAN_GIVEN_HPP
#define BARTIZAN_GIVEN_HPP

#include <type_traits>
#include <utility>

namespace bartizan {

namespace detail {

/// What is given away as user data. It comes back by a call or as BARTIZAN_EV_DROP, and then only its base is known.
struct given {
    virtual ~given() = default;
    static void drop(void *user_data) noexcept { delete static_cast<given *>(user_data); }
};

template <class T> struct holder final : given {
    explicit holder(T from) : value(std::move(from)) {}
    T value;
    static T &in(void *user_data) noexcept { return static_cast<holder *>(static_cast<given *>(user_data))->value; }
};

template <class T> void *give(T &&value) {
    return static_cast<given *>(new holder<std::decay_t<T>>(std::forward<T>(value)));
}

/// Runs a callback that nobody waits for: what it throws is told to nobody.
template <class Callback> void quietly(Callback &&callback) noexcept {
    try {
        callback();
    } catch (...) {
    }
}

} // namespace detail

} // namespace bartizan

#endif
