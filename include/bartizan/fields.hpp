/* Field lines of header and trailer sections: as the program writes them, as C takes them, and as the peer sent them. */
#ifndef BARTIZAN_FIELDS_HPP
#define BARTIZAN_FIELDS_HPP

#include <array>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "error.hpp"

namespace bartizan {

/// One field line of a header or trailer section.
struct field {
    std::string_view name;
    std::string_view value;
};

namespace detail {

/// Field lines as C takes them; without an allocation for as many as an answer usually has.
class raw_fields {
  public:
    raw_fields(const field *fields, std::size_t count) : count_(count) {
        bartizan_header *place = few_.data();
        if (count > few_.size()) {
            many_.resize(count);
            place = many_.data();
        }
        for (std::size_t i = 0; i < count; i++) place[i] = {raw(fields[i].name), raw(fields[i].value)};
        data_ = place;
    }
    raw_fields(const raw_fields &) = delete;
    raw_fields &operator=(const raw_fields &) = delete;

    const bartizan_header *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return count_; }

  private:
    static bartizan_str raw(std::string_view text) noexcept { return {text.data(), text.size()}; }

    std::array<bartizan_header, 16> few_;
    std::vector<bartizan_header> many_;
    const bartizan_header *data_;
    std::size_t count_;
};

} // namespace detail

/// Field lines for a call: `{{"content-type", "text/plain"}}`, or a vector or an array of them. Borrowed: for arguments only.
class fields {
  public:
    fields() noexcept = default;
    fields(std::initializer_list<field> list) noexcept : count_(list.size()) { data_ = list.begin(); }
    template <class Container, class = std::enable_if_t<std::is_convertible_v<
                                   decltype(std::data(std::declval<const Container &>())), const field *>>>
    fields(const Container &container) noexcept : data_(std::data(container)), count_(std::size(container)) {}

    const field *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return count_; }

  private:
    const field *data_ = nullptr;
    std::size_t count_ = 0;
};

/// Field lines that the peer sent, to iterate over: `for (auto [name, value] : request.headers())`. Borrowed of the request.
class received_fields {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = field;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = field;

        explicit iterator(const bartizan_header *at) noexcept : at_(at) {}
        field operator*() const noexcept { return {text(at_->name), text(at_->value)}; }
        iterator &operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator(at_++); }
        bool operator==(const iterator &other) const noexcept { return at_ == other.at_; }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        const bartizan_header *at_;
    };

    received_fields(const bartizan_header *data, std::size_t count) noexcept : data_(data), count_(count) {}
    iterator begin() const noexcept { return iterator(data_); }
    iterator end() const noexcept { return iterator(data_ + count_); }
    std::size_t size() const noexcept { return count_; }
    field operator[](std::size_t index) const noexcept { return {text(data_[index].name), text(data_[index].value)}; }

  private:
    const bartizan_header *data_;
    std::size_t count_;
};

} // namespace bartizan

#endif
