#include "devices/pci/msix.h"

#include <algorithm>
#include <utility>

#include "devices/register_access.h"

namespace arclight::devices::pci {

Msix::Msix(unsigned vectors, Send send, uint64_t pending_offset)
    : send_(std::move(send)),
      pending_offset_(pending_offset),
      table_(std::clamp(vectors, 1u, static_cast<unsigned>(pending_offset / kEntryBytes)),
             Entry{0, 0, 0, kVectorMasked}),
      pending_(table_.size()) {}

uint64_t Msix::read(uint64_t offset, unsigned size) const {
    const std::lock_guard guard(lock_);
    return read_by_words(offset, size, [&](uint64_t word) -> uint32_t {
        if (word < table_.size() * sizeof(Entry)) return table_[word / sizeof(Entry)][word / 4 % 4];
        uint32_t bits = 0;
        if (word < pending_offset_) return 0;
        for (uint64_t i = 0, vector = (word - pending_offset_) * 8; i < 32 && vector + i < pending_.size();
             i++)
            bits |= static_cast<uint32_t>(pending_[vector + i]) << i;
        return bits;
    });
}

void Msix::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        if (word >= table_.size() * sizeof(Entry)) return;
        const auto vector = static_cast<unsigned>(word / sizeof(Entry));
        uint32_t& field = table_[vector][word / 4 % 4];
        field = merge(field, data, mask);
        if (word / 4 % 4 == 0) field &= ~3u;
        if (word / 4 % 4 == kControlWord) field &= kVectorMasked;
        send_pending(vector);
    });
}

void Msix::set_control(bool enabled, bool masked) {
    const std::lock_guard guard(lock_);
    enabled_ = enabled;
    masked_ = masked;
    for (unsigned vector = 0; vector < table_.size(); vector++) send_pending(vector);
}

void Msix::send_pending(unsigned vector) {
    if (!pending_[vector] || !open(vector)) return;
    pending_[vector] = false;
    send(table_[vector]);
}

void Msix::raise(unsigned vector) {
    const std::lock_guard guard(lock_);
    if (vector >= table_.size() || !enabled_) return;
    if (open(vector))
        send(table_[vector]);
    else
        pending_[vector] = true;
}

void Msix::reset() {
    const std::lock_guard guard(lock_);
    std::ranges::fill(table_, Entry{0, 0, 0, kVectorMasked});
    pending_.assign(pending_.size(), false);
    enabled_ = false;
    masked_ = false;
}

void Msix::save(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    for (size_t i = 0; i < table_.size(); i++) out(table_[i], static_cast<bool>(pending_[i]));
}

void Msix::load(StateReader& in, State& loaded) const {
    loaded.table.resize(table_.size());
    for (Entry& entry : loaded.table) {
        bool pending = false;
        in(entry, pending);
        loaded.pending.push_back(pending);
        in.require((entry[0] & 3) == 0 && (entry[kControlWord] & ~kVectorMasked) == 0,
                   "a vector that cannot be");
    }
}

void Msix::commit(State loaded, bool enabled, bool masked) {
    const std::lock_guard guard(lock_);
    table_ = std::move(loaded.table);
    pending_ = std::move(loaded.pending);
    enabled_ = enabled;
    masked_ = masked;
}

}  // namespace arclight::devices::pci
