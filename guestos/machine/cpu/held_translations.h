// What a virtual CPU may hold of the guest's translations, as other CPUs can see it: so that a TLBI
// interrupts and waits for those CPUs alone that the invalidated translation can be in.
//
// A filter, in which bits stand for hashed pages and for ASIDs: it may say that something is held that is
// not, never the other way. The argument, with W the CPU that walks and I the one that invalidates:
//
//   W: set the bits, `walking`   (full barrier)   read the tables ... use what was found
//   I: write the tables          (full barrier)   read `walking` and the bits
//
// If I finds neither, both of W's stores come after I's reads, so W's reads of the tables come after I's
// write: W finds the new tables (the store-buffering pattern, which the two barriers forbid). If W's walk
// began before, I finds `walking`, or the walk has ended and the bits of what it found are there. They stay
// until W itself has dropped what they stand for.
//
// `walking` counts whatever the address is: a walk that goes through a table holds I up even where I
// invalidates another page of that table, because I's next act may be to free the table.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "mmu/bits.h"
#include "mmu/soft_tlb.h"
#include "mmu/tlbi.h"
#include "mmu/walk.h"

namespace arclight::guestos {

class HeldTranslations {
  public:
    // ---- On the owning virtual CPU's thread

    /// mmu::walk() by `walk()`, for a result that may be kept or used for an access. page_bits: log2 of the bytes of a page
    /// at va, which the mapping most likely is.
    template <typename Walk>
    mmu::WalkResult record(uint64_t va, uint16_t asid, unsigned page_bits, Walk walk) {
        const bool lower = is_lower(va);
        mmu::WalkResult result;
        bool again;
        add(asid_bit(asid));
        add_page(va, asid, page_bits);
        do {
            const Walking walking(*this);
            result = walk();
            again = false;
            // The size of a mapping and whether it is global are known only now, and bits must come before
            // reads.
            if (result.ok() && result.page_bits != page_bits) again |= add_page(va, asid, result.page_bits);
            if (result.ok() && lower && !result.non_global &&
                !lower_global_.load(std::memory_order_relaxed)) {
                lower_global_.store(true, std::memory_order_relaxed);
                again = true;
            }
        } while (again);
        return result;
    }

    /// Around walks of which nothing stays, such as those of AT and DC.
    class Walking {
      public:
        explicit Walking(HeldTranslations& held) : held_(held) { held_.walking_.exchange(true); }
        ~Walking() { held_.walking_.store(false, std::memory_order_release); }
        Walking(const Walking&) = delete;
        Walking& operator=(const Walking&) = delete;

      private:
        HeldTranslations& held_;
    };

    /// After everything was dropped, fastmem included, and no access that a walk was made for is outstanding.
    void clear() {
        if (words_used_ <= kMaxListed) {
            for (unsigned i = 0; i < words_used_; ++i) bits_[used_[i]].store(0, std::memory_order_release);
        } else {
            for (auto& word : bits_) word.store(0, std::memory_order_release);
        }
        lower_global_.store(false, std::memory_order_release);
        words_used_ = 0;
        pages_held_ = 0;
    }
    /// The same for the non-global translations of an ASID.
    void clear(uint16_t asid) {
        auto& word = bits_[asid_bit(asid) / 64];
        word.store(word.load(std::memory_order_relaxed) & ~(uint64_t{1} << asid % 64),
                   std::memory_order_release);
    }
    /// Too many bits are set to tell much: worth to drop everything and clear().
    bool full() const { return pages_held_ > kPageKeys / 4; }

    // ---- On any thread

    /// False: the owner holds nothing of what `request` takes out, and nothing is on the way. The caller has
    /// a full barrier (fence()) between its last store to the tables and this.
    bool may_hold(const mmu::TlbiRequest& request) const {
        using Kind = mmu::TlbiRequest::Kind;
        if (request.kind == Kind::All || walking_.load()) return true;
        if (request.kind == Kind::Asid) return has(asid_bit(request.asid));
        // Of pages in the lower half the ASID is a part of the key.
        if (is_lower(request.va) && (request.kind == Kind::VaAllAsids || lower_global_.load())) return true;
        const uint64_t sizes = sizes_.load(std::memory_order_relaxed);
        if (request.pages != 1) return may_hold_some(request, sizes);
        for (uint64_t rest = sizes; rest != 0; rest &= rest - 1)
            if (has(page_bit(request.va, request.asid, static_cast<unsigned>(std::countr_zero(rest)))))
                return true;
        return false;
    }
    static void fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

  private:
    static constexpr unsigned kPageKeysLog2 = 18;  // 32 KiB: a quarter full with the pages of 256 MiB
    static constexpr uint64_t kPageKeys = uint64_t{1} << kPageKeysLog2, kAsids = 65536;
    static constexpr unsigned kMaxListed = 512;
    static constexpr uint64_t kMaxLookups = 512;  // less than interrupting a CPU and waiting for it costs

    /// Of a range.
    bool may_hold_some(const mmu::TlbiRequest& request, uint64_t sizes) const {
        // Global pages of the lower half were dealt with.
        if (is_lower(request.va) && !has(asid_bit(request.asid))) return false;
        if (request.pages > kMaxLookups) return true;
        const uint64_t last = request.va + request.pages * mmu::kPageSize - 1;
        for (uint64_t rest = sizes; rest != 0; rest &= rest - 1) {
            const auto bits = static_cast<unsigned>(std::countr_zero(rest));
            for (uint64_t number = request.va >> bits; number <= last >> bits; ++number)
                if (has(page_bit(number << bits, request.asid, bits))) return true;
        }
        return false;
    }

    static bool is_lower(uint64_t va) { return (va >> 55 & 1) == 0; }
    static uint64_t page_bit(uint64_t va, uint16_t asid, unsigned bits) {
        constexpr uint64_t kAddress = (uint64_t{1} << 56) - 1;  // without a tag
        const uint64_t number = (va & kAddress) >> bits | uint64_t{bits} << 44;
        const uint64_t key = number ^ (is_lower(va) ? uint64_t{asid} << 48 : 0);
        return hash_bits(key, kPageKeysLog2);
    }
    static uint64_t asid_bit(uint16_t asid) { return kPageKeys + asid; }
    bool has(uint64_t n) const { return (bits_[n / 64].load(std::memory_order_relaxed) >> n % 64 & 1) != 0; }
    /// True: it was not there yet. Only one thread writes.
    bool add(uint64_t n) {
        auto& word = bits_[n / 64];
        const uint64_t old = word.load(std::memory_order_relaxed), bit = uint64_t{1} << n % 64;
        if ((old & bit) != 0) return false;
        if (old == 0 && words_used_ < kMaxListed) used_[words_used_] = static_cast<uint16_t>(n / 64);
        words_used_ += old == 0;
        word.store(old | bit, std::memory_order_relaxed);
        return true;
    }
    bool add_page(uint64_t va, uint16_t asid, unsigned bits) {
        const uint64_t sizes = sizes_.load(std::memory_order_relaxed), size = uint64_t{1} << bits;
        if ((sizes & size) == 0) sizes_.store(sizes | size, std::memory_order_relaxed);
        const bool added = add(page_bit(va, asid, bits));
        pages_held_ += added;
        return added;
    }

    std::atomic<bool> walking_{false};
    std::atomic<bool> lower_global_{false};
    std::atomic<uint64_t> sizes_{0};  // bit n: mappings of 2^n bytes have been held
    std::array<std::atomic<uint64_t>, (kPageKeys + kAsids) / 64> bits_{};
    // Own thread: so that clearing few costs little.
    uint64_t pages_held_ = 0, words_used_ = 0;
    std::array<uint16_t, kMaxListed> used_{};  // words of bits_, the first of words_used_
};

}  // namespace arclight::guestos
