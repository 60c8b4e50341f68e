// Reverse map of traditional shadow paging: which soft TLB entries make a page of guest RAM writable.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace arclight::mmu {

/// Maps a piece of guest RAM (4 KiB or 2 MiB) to the soft TLBs and addresses that may map it writable, so
/// that it can be write-protected. Each piece has room for two places; a piece with more is marked, and a
/// search must find the others. A remembered place may have been invalidated since.
class WriterMap {
  public:
    struct Place {
        unsigned tlb = 0;
        uint64_t va = 0;  ///< bits 55:12
    };

    /// Throws std::bad_alloc.
    explicit WriterMap(uint64_t pieces)
        : cells_(static_cast<Cell*>(std::calloc(pieces, sizeof(Cell)))), pieces_(pieces) {
        if (cells_ == nullptr) throw std::bad_alloc();
    }

    /// `live(place)` says whether a remembered place still maps its piece writable.
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

    /// Removes the piece's places: calls `each(place)` for each, or `search()` once if there were more than
    /// two.
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
        uint64_t place[2];  // packed; 0: empty
    };
    struct Free {
        void operator()(void* p) const { std::free(p); }
    };
    static constexpr uint64_t kUsed = uint64_t{1} << 62, kMore = uint64_t{1} << 63;
    static constexpr unsigned kPageNumberBits = 44;
    static constexpr uint64_t kPageNumber = (uint64_t{1} << kPageNumberBits) - 1;

    static uint64_t pack(Place p) {
        return kUsed | uint64_t{p.tlb} << kPageNumberBits | (p.va >> 12 & kPageNumber);
    }
    static Place unpack(uint64_t v) {
        return {static_cast<unsigned>(v >> kPageNumberBits & 31), (v & kPageNumber) << 12};
    }

    std::unique_ptr<Cell[], Free> cells_;  // the host allocates pages on first use
    uint64_t pieces_;
};

}  // namespace arclight::mmu
