#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "mmu/result.h"

// The stream that holds the state of a machine's parts. All integers are little-endian.
//
//   stream   "ARCSTATE"  u32 format  item...  u32 CRC-32 of all before it
//   section  tag  u8 n, n bytes of name  u32 version  u64 length  item...
//   value    tag  value            the tag says the type, so that a reader out of step fails at once
//   array    tag  u32 count  item...
//   bytes    tag  u64 length  the bytes
//
// A type describes its fields once, for both directions:
//
//   template <typename Archive, typename Self>
//   static void fields(Archive& archive, Self& self) { archive(self.mask_, self.level_); }
namespace arclight::devices {

using StateResult = Result<void>;

namespace detail {

enum class StateTag : uint8_t {
    Section = 'S',
    Bool = 'b',
    U8 = '1',
    U16 = '2',
    U32 = '4',
    U64 = '8',
    I64 = 'i',
    Array = 'a',
    Bytes = 'x',
};

template <typename T>
concept StateInteger = std::same_as<T, uint8_t> || std::same_as<T, uint16_t> || std::same_as<T, uint32_t> ||
    std::same_as<T, uint64_t> || std::same_as<T, int64_t>;

template <StateInteger T>
constexpr StateTag state_tag() {
    if constexpr (std::same_as<T, int64_t>) {
        return StateTag::I64;
    } else {
        constexpr StateTag tags[] = {StateTag::U8, StateTag::U16, StateTag::U32, StateTag::U64};
        return tags[sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3];
    }
}

}  // namespace detail

/// Appends items to a stream in memory.
class StateWriter {
  public:
    StateWriter();

    /// Writes the items in order: bool, integers of fixed width, std::array of items, and types with
    /// fields().
    template <typename... Items>
    void operator()(const Items&... items) {
        (put(items), ...);
    }
    /// A run of raw bytes, with its length.
    void bytes(std::span<const uint8_t> bytes);
    void bytes(const std::vector<uint8_t>& value, uint64_t) { bytes(std::span(value)); }
    /// As many items as the vector has; the second argument is the reader's limit.
    template <typename Item>
    void list(const std::vector<Item>& items, uint32_t) {
        put_tag(detail::StateTag::Array);
        put_integer(items.size(), 4);
        for (const Item& item : items) put(item);
    }
    /// Calls body(), whose items become the section. Versions count from one.
    template <typename Body>
    void section(std::string_view name, uint32_t version, Body&& body) {
        const size_t start = open(name, version);
        body();
        close(start);
    }
    /// The version of the section being written: always the newest.
    static constexpr uint32_t version() { return ~0u; }

    /// Some state could not be had: finish() returns this. The first reason stays.
    void fail(std::string why) {
        if (!error_) error_ = std::move(why);
    }
    /// The whole stream. Nothing can be written after it.
    Result<std::vector<uint8_t>> finish();

  private:
    template <typename Item>
    void put(const Item& item) {
        if constexpr (std::same_as<Item, bool>) {
            put_tag(detail::StateTag::Bool);
            put_integer(item ? 1 : 0, 1);
        } else if constexpr (detail::StateInteger<Item>) {
            put_tag(detail::state_tag<Item>());
            put_integer(static_cast<uint64_t>(item), sizeof(Item));
        } else {
            Item::fields(*this, item);
        }
    }
    template <typename Item, size_t N>
    void put(const std::array<Item, N>& items) {
        put_tag(detail::StateTag::Array);
        put_integer(N, 4);
        for (const Item& item : items) put(item);
    }
    void put_tag(detail::StateTag tag) { out_.push_back(static_cast<uint8_t>(tag)); }
    void put_integer(uint64_t value, unsigned size);
    size_t open(std::string_view name, uint32_t version);
    void close(size_t start);

    std::vector<uint8_t> out_;
    std::optional<std::string> error_;
};

/// Reads such a stream. The first error sticks: what is read after it is zero, and finish() and section()
/// return it. Nothing in a stream, however damaged, makes it read outside or allocate more than the stream's
/// own size.
class StateReader {
  public:
    /// Checks the frame and the checksum. The bytes must outlive the reader.
    explicit StateReader(std::span<const uint8_t> stream);

    template <typename... Items>
    void operator()(Items&... items) {
        (get(items), ...);
    }
    /// At most `limit` bytes.
    void bytes(std::vector<uint8_t>& value, uint64_t limit);
    template <typename Item>
    void list(std::vector<Item>& items, uint32_t limit) {
        expect(detail::StateTag::Array);
        const auto count = static_cast<uint32_t>(get_integer(4));
        // Each item takes a tag and a byte at least.
        if (count > limit || count > (limit_ - at_) / 2) fail("a list is too long");
        items.assign(ok() ? count : 0, Item{});
        for (Item& item : items) get(item);
    }
    /// Opens the section of this name, which must be next and of a version from 1 to `newest`; calls body(),
    /// which must read all of it and may return a StateResult of its own.
    template <typename Body>
    StateResult section(std::string_view name, uint32_t newest, Body&& body) {
        const Outer outer = open(name, newest);
        if (ok()) {
            if constexpr (std::is_void_v<std::invoke_result_t<Body>>) {
                body();
            } else {
                if (StateResult result = body(); !result) fail(result.error());
            }
        }
        close(name, outer);
        return result();
    }
    /// The version of the section being read.
    uint32_t version() const { return version_; }
    /// The name of the section that is next, if one is.
    std::optional<std::string_view> next_section() const;

    /// Makes the stream wrong: a value that a part cannot have. The first reason stays.
    void fail(std::string why);
    void require(bool holds, const char* why) {
        if (!holds) fail(why);
    }
    bool ok() const { return !error_.has_value(); }
    StateResult result() const;
    /// Also an error if something is left.
    StateResult finish();

  private:
    struct Outer {
        size_t limit;
        uint32_t version;
    };
    template <typename Item>
    void get(Item& item) {
        if constexpr (std::same_as<Item, bool>) {
            expect(detail::StateTag::Bool);
            const uint64_t value = get_integer(1);
            require(value <= 1, "a truth value is neither");
            item = value == 1;
        } else if constexpr (detail::StateInteger<Item>) {
            expect(detail::state_tag<Item>());
            item = static_cast<Item>(get_integer(sizeof(Item)));
        } else {
            Item::fields(*this, item);
        }
    }
    template <typename Item, size_t N>
    void get(std::array<Item, N>& items) {
        expect(detail::StateTag::Array);
        require(get_integer(4) == N, "an array has another length");
        for (Item& item : items) get(item);
    }
    void expect(detail::StateTag tag);
    uint64_t get_integer(unsigned size);
    Outer open(std::string_view name, uint32_t newest);
    void close(std::string_view name, Outer outer);

    std::span<const uint8_t> in_;
    size_t at_ = 0;
    size_t limit_ = 0;  // end of the innermost open section
    uint32_t version_ = 0;
    std::optional<std::string> error_;
};

/// A part of the machine that has state: a device, the guest's clock, a virtual CPU.
///
/// The order is: the virtual CPUs stop; quiesce() on all parts; save() or load() on all; resume() on all; the
/// virtual CPUs go on. load() is for a new part or a quiesced one, and touches that part alone: what
/// it drives (interrupt lines, deadlines, work waiting in queues) follows from its state in resume(), when
/// all parts have theirs. So the order in which parts are loaded does not matter.
class Stateful {
  public:
    virtual ~Stateful() = default;
    /// Returns when nothing is in flight: requests are finished or cancelled, threads idle, no callback runs
    /// that could change the state, and input is refused. Not on the event loop's thread.
    virtual void quiesce() {}
    /// Ends quiesce(). Also to be called after load() on a part that was not quiesced.
    virtual void resume() {}
    virtual void save(StateWriter& out) const = 0;
    /// An error (one line) leaves the part as it was, or reset.
    virtual StateResult load(StateReader& in) = 0;
};

/// The parts of one machine, by name.
class StatefulParts {
  public:
    /// quiesce() and resume() go in the order of these calls. Names are unique, at most 255 bytes.
    void add(std::string name, Stateful& part);
    void quiesce();
    void resume();
    /// Quiesced. An error is one line for the user.
    Result<std::vector<uint8_t>> save() const;
    /// Quiesced. After an error some parts have the new state and some the old one: the machine must be reset
    /// or discarded.
    StateResult load(std::span<const uint8_t> stream);

  private:
    std::vector<std::pair<std::string, Stateful*>> parts_;
};

}  // namespace arclight::devices
