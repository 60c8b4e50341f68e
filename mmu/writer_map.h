#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace arclight::mmu {

/// From a piece of guest RAM (a page, or 2 MiB) to the soft TLBs and addresses that may have it mapped writable,
/// so that the mappings can be taken back when the piece becomes one that must not be written. Two places are
/// remembered; what has more is marked and has to be searched for. Places need not be there any more.
class WriterMap {
  public:
    struct Place {
        unsigned tlb = 0;
        uint64_t va = 0;  ///< bits 48:12
    };

    explicit WriterMap(uint64_t pieces)
        : cells_(static_cast<Cell*>(std::calloc(pieces, sizeof(Cell)))), pieces_(pieces) {
        if (cells_ == nullptr) throw std::bad_alloc();
    }

    /// `live(place)` says whether a remembered place is still one.
    template <typename Live>
    void insert(uint64_t piece, Place place, Live live) {
        if (piece >= pieces_) return;
        Cell& cell = cells_[piece];
        const uint64_t value = pack(place);
        for (uint64_t& there : cell.place) {
            if (there == value) return;
            if (there == 0 || !live(unpack(there))) {
                there = value;
                return;
            }
        }
        cell.place[0] |= kMore;
    }

    /// Forgets the piece's places: `each(place)`, or `search()` if there were more than could be remembered.
    template <typename Each, typename Search>
    void take(uint64_t piece, Each each, Search search) {
        if (piece >= pieces_) return;
        Cell& cell = cells_[piece];
        if ((cell.place[0] & kMore) != 0) {
            search();
        } else {
            for (const uint64_t there : cell.place)
                if (there != 0) each(unpack(there));
        }
        cell = {};
    }

  private:
    struct Cell {
        uint64_t place[2];  // 0: none
    };
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    static constexpr uint64_t kUsed = uint64_t{1} << 62, kMore = uint64_t{1} << 63;
    static constexpr uint64_t kPageNumber = (uint64_t{1} << 37) - 1;

    static uint64_t pack(Place p) { return kUsed | uint64_t{p.tlb} << 40 | (p.va >> 12 & kPageNumber); }
    static Place unpack(uint64_t v) { return {static_cast<unsigned>(v >> 40 & 31), (v & kPageNumber) << 12}; }

    std::unique_ptr<Cell[], Free> cells_;  // zero pages until they are used
    uint64_t pieces_;
};

}  // namespace arclight::mmu
