// rsw.hpp: rsw.h for C++17. Handles that close themselves, errors that are thrown, spans without a copy.
//
// Header only; link librsw. What rsw.h says about threads, blocking, lifetimes and costs holds here too.
#ifndef RSW_HPP
#define RSW_HPP

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rsw.h"

namespace rsw {

// What the library refused: the status, and its words.
class Error : public std::runtime_error {
public:
    explicit Error(int32_t status)
        : std::runtime_error(*rsw_last_error() ? rsw_last_error() : rsw_status_str(status)), status(status)
    {
    }
    const int32_t status;
};

// The status itself, or its error.
inline int32_t ask(int32_t status)
{
    if (status < 0)
        throw Error(status);
    return status;
}

// A struct with its size set and everything else zero.
template <typename T> T sized()
{
    T value{};
    value.struct_size = static_cast<uint32_t>(sizeof(T));
    return value;
}

// Owns a handle; moves, does not copy.
template <typename T, int32_t (*Close)(T *)> class Handle {
public:
    Handle() = default;
    explicit Handle(T *handle) : handle_(handle) {}
    Handle(Handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle &operator=(Handle &&other) noexcept
    {
        if (this != &other) {
            reset();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle() { reset(); }

    // Gives it up now; once more is nothing.
    void reset() noexcept
    {
        if (handle_)
            Close(std::exchange(handle_, nullptr));
    }
    T *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

private:
    T *handle_ = nullptr;
};

// The payload of an event as the struct that its kind names; empty if it is shorter.
template <typename T> std::optional<T> payload(const rsw_event &event)
{
    if (event.len_bytes < sizeof(T))
        return std::nullopt;
    T value;
    std::memcpy(&value, event.payload, sizeof(T));
    return value;
}

// A reader of the event ring.
class Ring {
public:
    explicit Ring(rsw_ring *ring, size_t capacity) : ring_(ring), events_(capacity) {}

    // RSW_OK, RSW_EMPTY, RSW_STALE or RSW_ENDED.
    int32_t wait(uint64_t timeout_ns = 1000000000, int32_t strategy = RSW_WAIT_DEFAULT)
    {
        return ask(rsw_ring_wait(get(), timeout_ns, strategy));
    }

    // RSW_OK, RSW_EMPTY, RSW_LAPPED or RSW_REATTACHED; the events are in begin() to end() until the next poll.
    int32_t poll(size_t limit = SIZE_MAX)
    {
        const size_t capacity = limit < events_.size() ? limit : events_.size();
        return ask(rsw_ring_poll(get(), events_.data(), capacity, &count_));
    }

    rsw_stats stats() const
    {
        auto stats = sized<rsw_stats>();
        ask(rsw_ring_stats(get(), &stats));
        return stats;
    }

    size_t size() const { return count_; }
    const rsw_event *begin() const { return events_.data(); }
    const rsw_event *end() const { return events_.data() + count_; }
    rsw_ring *get() const { return ring_.get(); }

private:
    Handle<rsw_ring, rsw_ring_close> ring_;
    std::vector<rsw_event> events_;
    size_t count_ = 0;
};

// A borrowed frame: read-only, stable until destroyed.
class Loan {
public:
    Loan(rsw_loan *loan, const rsw_frame &frame) : frame(frame), loan_(loan) {}

    const float *data() const { return frame.data; }
    size_t size() const { return static_cast<size_t>(frame.nx) * frame.ny; }
    const float *begin() const { return data(); }
    const float *end() const { return data() + size(); }

    rsw_frame frame;

private:
    Handle<rsw_loan, rsw_loan_release> loan_;
};

// A subscription to the loans of one field.
class Field {
public:
    explicit Field(rsw_field *field) : field_(field) {}

    // The newest frame that was not borrowed yet, if one waits.
    std::optional<Loan> latest() { return lend(rsw_field_loan_latest); }
    // The oldest frame that waits, if one does.
    std::optional<Loan> next() { return lend(rsw_field_loan_next); }

private:
    template <typename F> std::optional<Loan> lend(F receive)
    {
        rsw_loan *loan = nullptr;
        auto frame = sized<rsw_frame>();
        if (ask(receive(field_.get(), &loan, &frame)) != RSW_OK)
            return std::nullopt;
        return std::optional<Loan>(std::in_place, loan, frame);
    }

    Handle<rsw_field, rsw_field_close> field_;
};

// The synchronisation window of the built-in agent.
class Sync {
public:
    explicit Sync(rsw_sync *sync) : sync_(sync) {}

    // The result, if the event makes a report due.
    std::optional<rsw_sync_result> event(const rsw_event &event)
    {
        auto result = sized<rsw_sync_result>();
        if (ask(rsw_sync_event(sync_.get(), &event, &result)) != RSW_OK)
            return std::nullopt;
        return result;
    }

private:
    Handle<rsw_sync, rsw_sync_close> sync_;
};

// A cell of the board: what it is, and its value.
struct Cell {
    rsw_cell_info info;
    rsw_cell cell;
};

// A connection to a swarm.
class Swarm {
public:
    // As rsw_connect: a launched agent's own swarm, or the one of the working folder.
    explicit Swarm(const rsw_options *options = nullptr)
    {
        rsw_swarm *swarm = nullptr;
        ask(rsw_connect(options, &swarm));
        swarm_ = Handle<rsw_swarm, rsw_close>(swarm);
    }

    // Another handle on this connection, for another thread.
    Swarm dup() const
    {
        rsw_swarm *swarm = nullptr;
        ask(rsw_dup(get(), &swarm));
        return Swarm(Handle<rsw_swarm, rsw_close>(swarm));
    }

    // As rsw_wake_fd: for poll and epoll, of a swarm that was connected with RSW_CONNECT_WAKE_FD.
    int wake_fd() const
    {
        int32_t fd = -1;
        ask(rsw_wake_fd(get(), &fd));
        return fd;
    }

    // As rsw_wake_clear.
    int32_t clear_wake() const { return ask(rsw_wake_clear(get())); }

    Ring ring(int32_t start = RSW_FROM_LATEST, uint64_t sequence = 0, size_t capacity = 256) const
    {
        rsw_ring *ring = nullptr;
        ask(rsw_ring_open(get(), start, sequence, &ring));
        return Ring(ring, capacity);
    }

    Field field(const char *name) const
    {
        rsw_field *field = nullptr;
        ask(rsw_field_open(get(), name, &field));
        return Field(field);
    }

    Sync sync() const
    {
        rsw_sync *sync = nullptr;
        ask(rsw_sync_open(get(), &sync));
        return Sync(sync);
    }

    // Every cell, each complete.
    std::vector<Cell> board() const
    {
        uint32_t count = 0;
        ask(rsw_board_count(get(), &count));
        std::vector<rsw_cell> cells(count ? count : 1);
        auto snapshot = sized<rsw_snapshot>();
        ask(rsw_board_snapshot(get(), cells.data(), cells.size(), &snapshot));
        std::vector<Cell> found(snapshot.count);
        for (uint32_t at = 0; at < snapshot.count; at++) {
            found[at] = {sized<rsw_cell_info>(), cells[at]};
            ask(rsw_board_describe(get(), at, &found[at].info));
        }
        return found;
    }

    // The metrics batches from now on; the stream is released by whoever imports it.
    void stream(ArrowArrayStream *out, uint64_t timeout_ns = 10000000000) const
    {
        ask(rsw_batches_stream(get(), timeout_ns, out));
    }

    // True if the gateway took it; false if it is gone or busy.
    bool report(const rsw_sync_result &result, const Ring &ring) const
    {
        const int32_t status = rsw_send_report(get(), ring.get(), &result);
        return status == RSW_OK || (status != RSW_E_BUSY && status != RSW_E_DEAD && ask(status));
    }

    rsw_self_info self() const
    {
        auto info = sized<rsw_self_info>();
        ask(rsw_self(get(), &info));
        return info;
    }

    rsw_swarm *get() const { return swarm_.get(); }

private:
    explicit Swarm(Handle<rsw_swarm, rsw_close> swarm) : swarm_(std::move(swarm)) {}

    Handle<rsw_swarm, rsw_close> swarm_;
};

} // namespace rsw

#endif // RSW_HPP
