#include "guestos/machine/board/tag_state.h"

#include <cstring>
#include <vector>

namespace arclight::guestos {

namespace {
using mmu::TagMemory;
/// A page's number, and two tags in each byte.
constexpr size_t kRecord = sizeof(uint64_t) + TagMemory::kGranules / 2;
}  // namespace

void TagState::save(devices::StateWriter& out) const {
    std::vector<uint8_t> records;
    for (uint64_t page = 0; page < tags_.pages(); ++page) {
        if (!tags_.was_written(page)) continue;
        const size_t at = records.size();
        records.resize(at + kRecord);
        std::memcpy(&records[at], &page, sizeof page);
        for (unsigned i = 0; i < TagMemory::kGranules; ++i) {
            const unsigned tag = tags_.load(page * TagMemory::kPage + i * mmu::kTagGranule);
            records[at + sizeof page + i / 2] |= static_cast<uint8_t>(tag << (i % 2 * 4));
        }
    }
    out.section("tags", kVersion, [&] { out.bytes(records, 0); });
}

devices::StateResult TagState::load(devices::StateReader& in) {
    std::vector<uint8_t> records;
    const auto loaded = in.section("tags", kVersion, [&] {
        in.bytes(records, tags_.pages() * kRecord);
        in.require(records.size() % kRecord == 0, "tags of a part of a page");
        for (size_t at = 0; in.ok() && at < records.size(); at += kRecord) {
            uint64_t page = 0;
            std::memcpy(&page, &records[at], sizeof page);
            in.require(page < tags_.pages(), "tags outside of RAM");
        }
    });
    if (!loaded) return loaded;
    tags_.clear();
    for (size_t at = 0; at < records.size(); at += kRecord) {
        uint64_t page = 0;
        std::memcpy(&page, &records[at], sizeof page);
        for (unsigned i = 0; i < TagMemory::kGranules; ++i)
            tags_.store(page * TagMemory::kPage + i * mmu::kTagGranule,
                        records[at + sizeof page + i / 2] >> (i % 2 * 4) & 15);
    }
    return {};
}

}  // namespace arclight::guestos
