/* The completion queue: events in batches, and what they own until they are taken. */
#ifndef BARTIZAN_QUEUE_HPP
#define BARTIZAN_QUEUE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>

#include "error.hpp"
#include "given.hpp"
#include "request.hpp"

namespace bartizan {

/// One event of a queue, valid until its batch ends or is filled again.
class event {
  public:
    explicit event(bartizan_event &raw) noexcept : raw_(&raw) {}

    /// BARTIZAN_EV_...
    std::uint32_t kind() const noexcept { return raw_->kind; }
    bartizan_status status() const noexcept { return raw_->status; }
    /// The exchange that it is about; for REQUEST, without taking it.
    bartizan::exchange exchange() const noexcept { return bartizan::exchange(raw_->request); }
    bartizan_connection connection() const noexcept { return raw_->connection; }
    std::uint64_t tag() const noexcept { return raw_->tag; }
    std::uint64_t arg(std::size_t index) const { return index < 3 ? raw_->arg[index] : 0; }

    /// The request of a REQUEST, once: E_STATE for others and the second time. Who does not take it answers 500.
    bartizan::request take() const {
        auto view = static_cast<const bartizan_request_view *>(data(BARTIZAN_EV_REQUEST));
        raw_->data.ptr = nullptr;
        return bartizan::request(view);
    }
    /// The record of a CONNECTION.
    const bartizan_connection_record &connection_record() const {
        return *static_cast<const bartizan_connection_record *>(data(BARTIZAN_EV_CONNECTION));
    }
    /// The record of a REQUEST_END.
    const bartizan_request_record &request_record() const {
        return *static_cast<const bartizan_request_record *>(data(BARTIZAN_EV_REQUEST_END));
    }
    /// The record of a LOG.
    const bartizan_log_record &log_record() const {
        return *static_cast<const bartizan_log_record *>(data(BARTIZAN_EV_LOG));
    }

  private:
    const void *data(std::uint32_t kind) const {
        if (raw_->kind != kind || !raw_->data.ptr) detail::checked("bartizan::event", BARTIZAN_E_STATE);
        return raw_->data.ptr;
    }

    bartizan_event *raw_;
};

/// The events of one call of queue::next. Its end gives back what was not taken: records, requests, user data.
class batch {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = event;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = event;

        explicit iterator(bartizan_event *at) noexcept : at_(at) {}
        event operator*() const noexcept { return event(*at_); }
        iterator &operator++() noexcept {
            ++at_;
            return *this;
        }
        iterator operator++(int) noexcept { return iterator(at_++); }
        bool operator==(const iterator &other) const noexcept { return at_ == other.at_; }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        bartizan_event *at_;
    };

    batch() noexcept = default;
    batch(const batch &) = delete;
    batch &operator=(const batch &) = delete;
    ~batch() { clear(); }

    iterator begin() noexcept { return iterator(events_.data()); }
    iterator end() noexcept { return iterator(events_.data() + count_); }
    std::size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return !count_; }

    void clear() noexcept {
        if (!count_) return;
        bartizan_queue_release(queue_.get(), events_.data(), count_);
        for (std::size_t i = 0; i < count_; i++) {
            const bartizan_event &event = events_[i];
            if (event.kind == BARTIZAN_EV_REQUEST && event.data.ptr) bartizan_request_release(event.request);
            if (event.kind == BARTIZAN_EV_DROP) detail::given::drop(const_cast<void *>(event.data.ptr));
        }
        count_ = 0;
        queue_.reset();
    }

  private:
    friend class queue;

    std::array<bartizan_event, 64> events_;
    std::size_t count_ = 0;
    // Releasing records needs the queue, wherever its owner is by then.
    std::shared_ptr<bartizan_queue> queue_;
};

/// A completion queue: requests, readiness and records come to whoever calls next, on any thread or in any event loop. It ends
/// with its owner and the last batch; requests that wait in it then get 503.
class queue {
  public:
    queue() {
        bartizan_queue *raw = nullptr;
        detail::set_up([&](bartizan_error **err) { return bartizan_queue_new(&raw, err); });
        raw_.reset(raw, bartizan_queue_free);
    }
    queue(queue &&) noexcept = default;
    queue &operator=(queue &&) noexcept = default;

    /// The descriptor to wait on: readable while events wait. Never read or close it.
    std::int64_t fd() const noexcept { return bartizan_queue_fd(raw_.get()); }

    /// Fills the batch, waiting at most `timeout` for the first event; it stays empty when there is none, or after wake.
    /// false = the queue is closed: the last event was handed out.
    bool next(batch &events, milliseconds timeout = forever) {
        events.clear();
        bartizan_status status = bartizan_queue_next(raw_.get(), events.events_.data(), events.events_.size(),
                                                     timeout.count(), &events.count_);
        if (status == BARTIZAN_E_CLOSED) return false;
        detail::checked("bartizan_queue_next", status);
        if (events.count_) events.queue_ = raw_;
        return true;
    }

    /// Lets one next return with an empty batch.
    void wake() { detail::checked("bartizan_queue_wake", bartizan_queue_wake(raw_.get())); }

    bartizan_queue *get() const noexcept { return raw_.get(); }

  private:
    std::shared_ptr<bartizan_queue> raw_;
};

} // namespace bartizan

#endif
