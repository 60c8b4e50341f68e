// Turns of a loop that copies or fills memory, many at once (jit/ir/memory_loop.h). Afterwards the registers and the memory are as
// if each turn had been executed. Only what cannot be told from that is done:
//   - where the soft TLB knows all pages, those of the turn that follows too: so that turn, which the block executes, faults nowhere,
//     and leaves every register that has nothing for the next turn as it would be.
//   - where the memory that is read and the memory that is written have nothing in common, by the host's addresses: so the order
//     does not matter.
//   - up to kMost bytes, since interrupts and other CPUs wait meanwhile.
// Other CPUs see each aligned unit of 8 bytes whole, as they do of the instructions: the host's library copies by vectors and by REP
// MOVSB, which split none.
#include <algorithm>
#include <array>
#include <cstring>

#include "guestos/machine/cpu/memory_path.h"
#include "guestos/machine/cpu/page_room.h"
#include "host/memory_fault.h"
#include "jit/ir/memory_loop.h"

namespace arclight::guestos {

using jit::ir::MemoryLoop;
using mmu::kPageSize;

namespace {
constexpr uint64_t kMost = 64 << 10;

/// The host's memory behind guest addresses that follow one another.
struct Run {
    uint8_t* host;
    uint64_t bytes;
};
class Runs {
  public:
    /// Of addresses that rise, or that fall.
    explicit Runs(bool down) : down_(down) {}
    void add(uint8_t* host, uint64_t bytes) {
        bytes_ += bytes;
        if (count_ != 0) {
            Run& last = runs_[count_ - 1];
            if (!down_ && last.host + last.bytes == host) {
                last.bytes += bytes;
                return;
            }
            if (down_ && host + bytes == last.host) {
                last.host = host, last.bytes += bytes;
                return;
            }
        }
        runs_[count_++] = {host, bytes};
    }
    bool full() const { return count_ == runs_.size(); }
    uint64_t bytes() const { return bytes_; }
    std::span<const Run> all() const { return {runs_.data(), count_}; }

  private:
    bool down_;
    size_t count_ = 0;
    uint64_t bytes_ = 0;
    std::array<Run, kMost / kPageSize + 2> runs_;
};

bool overlap(const Runs& a, const Runs& b) {
    for (const Run& x : a.all())
        for (const Run& y : b.all())
            if (x.host < y.host + y.bytes && y.host < x.host + x.bytes) return true;
    return false;
}

/// A place in runs, from which the next bytes are those of the next addresses.
class Cursor {
  public:
    Cursor(const Runs& runs, bool down) : left_(runs.all()), down_(down) {}
    uint64_t room() const { return left_.front().bytes - used_; }
    /// The next `bytes`, at most room().
    uint8_t* take(uint64_t bytes) {
        const Run& run = left_.front();
        uint8_t* const at = down_ ? run.host + run.bytes - used_ - bytes : run.host + used_;
        used_ += bytes;
        if (used_ == run.bytes) left_ = left_.subspan(1), used_ = 0;
        return at;
    }

  private:
    std::span<const Run> left_;
    const bool down_;
    uint64_t used_ = 0;
};

/// As many bytes, and zeros above them.
jit::V128 load_unit(const uint8_t* from, unsigned bytes) {
    jit::V128 value{};
    switch (bytes) {
        case 16: std::memcpy(&value, from, 16); break;
        case 8: std::memcpy(&value, from, 8); break;
        case 4: std::memcpy(&value, from, 4); break;
        case 2: std::memcpy(&value, from, 2); break;
        default: std::memcpy(&value, from, 1); break;
    }
    return value;
}

/// `pattern` again and again. What is there already is copied, up to a page of it.
void fill(uint8_t* to, uint64_t bytes, const uint8_t* pattern, uint64_t period) {
    if (std::all_of(pattern, pattern + period, [&](uint8_t b) { return b == *pattern; })) {
        std::memset(to, *pattern, bytes);
        return;
    }
    uint64_t there = std::min(period, bytes);
    std::memcpy(to, pattern, there);
    while (there < bytes) {
        const uint64_t n = std::min({there, bytes - there, kPageSize / period * period});
        std::memcpy(to + there, to, n);
        there += n;
    }
}
}  // namespace

void MemoryPath::run_loop(const MemoryLoop& loop) {
    if (state_.interrupt.load(std::memory_order_relaxed) != 0) return;
    uint64_t* const x = state_.x;
    if (loop.is_zeroed != MemoryLoop::kNoRegister && x[loop.is_zeroed] != MemoryLoop::kZeroed) return;
    uint64_t turns = std::min<uint64_t>(loop.turns(x), kMost / loop.bytes - 1);
    if (turns == 0) return;
    if (loop.kind == MemoryLoop::Kind::Zero && loop.to.address(x) % MemoryLoop::kZeroed != 0) return;
    const bool copies = loop.kind == MemoryLoop::Kind::Copy || loop.kind == MemoryLoop::Kind::DelayedCopy;
    const bool delayed = loop.kind == MemoryLoop::Kind::DelayedCopy;
    // What the soft TLB has of so many bytes from the first turn on. To compare all their allocation tags takes long, so at first only
    // whether there are any.
    bool compares_tags = false, checked = false;
    const auto find = [&](const MemoryLoop::Place& place, uint64_t bytes, bool write) {
        Runs found(loop.down);
        const bool as_el0 = place.unprivileged && cpu_.el != 0;
        // Falling addresses begin behind the first turn's last byte.
        uint64_t at = place.address(x) + (loop.down ? loop.bytes : 0);
        while (bytes != 0 && !found.full()) {
            const uint64_t n = std::min(page_room(at, !loop.down), bytes);
            const uint64_t start = loop.down ? at - n : at;
            uint8_t* const host =
                compares_tags ? cached(start, n, write, as_el0) : cached_page(start, write, as_el0, checked);
            if (host == nullptr) break;
            found.add(host, n);
            at = loop.down ? start : at + n;
            bytes -= n;
        }
        return found;
    };
    Runs to(loop.down), from(loop.down);
    const auto find_turns = [&] {
        to = find(loop.to, (turns + 1) * loop.bytes, true);
        if (copies) from = find(loop.from, to.bytes(), false);
        const uint64_t there = copies ? std::min(to.bytes(), from.bytes()) : to.bytes();
        if (there / loop.bytes < 2 || (copies && overlap(to, from))) return false;
        turns = std::min(turns, there / loop.bytes - 1);
        return true;
    };
    if (!find_turns()) return;
    if (checked) {
        compares_tags = true;
        if (!find_turns()) return;
    }
    const uint64_t bytes = turns * loop.bytes;

    // What registers store: of a fill all, of a delayed copy the first turn.
    std::array<uint8_t, MemoryLoop::kMaxBytes + sizeof(jit::V128)> held, last;
    if (loop.kind == MemoryLoop::Kind::Zero) held.fill(0);
    for (const MemoryLoop::Unit& u : loop.units) {
        jit::V128 value{.d = {u.value, 0}};
        if (u.vector)
            value = state_.v[u.reg];
        else if (u.reg != MemoryLoop::kNoRegister)
            value.d[0] = x[u.reg];
        // What is too much the next unit overwrites: they are in the order of their places.
        std::memcpy(held.data() + u.offset, &value, sizeof value);
    }
    const auto work = [&] {
        Cursor target(to, loop.down);
        if (!copies) {
            for (uint64_t left = bytes, n; left != 0; left -= n) {
                n = std::min(left, target.room());
                // A run may begin or end in the middle of a turn.
                const uint64_t phase = loop.down ? (left - n) % loop.bytes : (bytes - left) % loop.bytes;
                uint8_t* const at = target.take(n);
                const uint64_t head = std::min(n, (loop.bytes - phase) % loop.bytes);
                std::memcpy(at, held.data() + phase, head);
                fill(at + head, n - head, held.data(), loop.bytes);
            }
            return;
        }
        const auto part = [&](Cursor* source, const uint8_t* fixed, uint64_t left) {
            for (uint64_t n; left != 0; left -= n) {
                n = std::min(left, target.room());
                if (source != nullptr) n = std::min(n, source->room());
                uint8_t* const at = target.take(n);
                std::memcpy(at,
                            source != nullptr ? source->take(n)
                            : loop.down       ? fixed + left - n
                                              : fixed + loop.bytes - left,
                            n);
            }
        };
        Cursor source(from, loop.down);
        if (!delayed) return part(&source, nullptr, bytes);
        part(nullptr, held.data(), loop.bytes);
        part(&source, nullptr, bytes - loop.bytes);
        // The last turn's, for the one that follows.
        for (uint64_t left = loop.bytes, n; left != 0; left -= n) {
            n = std::min(left, source.room());
            const uint64_t at = loop.down ? left - n : loop.bytes - left;
            std::memcpy(last.data() + at, source.take(n), n);
        }
    };
    if (!host::touch(work)) return;
    if (delayed)
        for (const MemoryLoop::Unit& u : loop.units) {
            const jit::V128 value = load_unit(last.data() + u.offset, u.bytes);
            if (u.vector)
                state_.v[u.reg] = value;
            else
                x[u.reg] = value.d[0];
        }
    // The upper half of a 32-bit one becomes zero in the turn that follows.
    for (const MemoryLoop::Induction& i : loop.inductions) x[i.reg] += turns * static_cast<uint64_t>(i.step);
    ++stats_.memory_loop_runs;
    stats_.memory_loop_bytes += bytes;
}

}  // namespace arclight::guestos
