// Scalable registers of which host registers hold copies, within a block. GuestState has what they have, always: an operation
// writes its result to both, so that nobody else need know of them.
//
// Copies of vectors are in zmm19 to zmm31 and those of predicates, as masks, in k4 to k7. C++ clobbers them, and what zmm18 has: the
// smallest normal number in each element, which results of floating point are compared with.
#pragma once

#include <array>

#include "backend/x64/types.h"

namespace arclight::backend {

class ScalableCopies {
  public:
    static constexpr uint8_t kFirst = 19, kEnd = 32, kFirstMask = 4, kMasks = 4;
    /// A predicate as a mask with a bit for each element of 8 << size bits; predicate kNone: nothing.
    struct Mask {
        uint8_t predicate = kNone, size = 0;
    };

    /// Where nothing is known.
    void clear() { *this = {}; }
    /// C++ is called, which writes no vectors.
    void clobber() {
        const uint32_t zeros = zero_above_;
        clear();
        zero_above_ = zeros;
    }
    /// Before the instruction is emitted, which is no scalable operation: forgets what it changes.
    void before(const Inst& i) {
        if (used_ || i.op == Op::StoreField || zero_above_ != 0) note(i);
    }
    /// In a new instruction any register may be taken that it has not asked for.
    void begin() { pinned_ = 0; }
    /// Whether the vector is known to be zero above its 128 bits.
    bool is_zero_above(unsigned z) const { return (zero_above_ >> z & 1) != 0; }
    /// The host register that has the vector, or kNone.
    uint8_t vector(unsigned z);
    /// One that the instruction has not asked for, and which holds nothing.
    uint8_t take();
    void set_vector(unsigned z, uint8_t reg);
    void forget_vector(unsigned z);
    /// GuestState's vector has been written, with anything above its 128 bits or with zeros.
    void set_above(unsigned z, bool zeros) {
        zero_above_ = (zero_above_ & ~(1u << z)) | static_cast<uint32_t>(zeros) << z;
    }
    /// The number of the mask register, or kNone.
    uint8_t mask(unsigned predicate, unsigned size) const;
    uint8_t take_mask(unsigned predicate, unsigned size);
    void forget_predicate(unsigned predicate);

    uint8_t edge_size = kNone;  ///< the elements that zmm18 has the smallest normal number of

    const std::array<Mask, kMasks>& masks() const { return masks_; }
    /// By host register from kFirst on: the vector, or kNone.
    const std::array<uint8_t, kEnd - kFirst>& vectors() const { return vectors_; }

  private:
    void note(const Inst& i);

    bool used_ = false;
    std::array<uint8_t, kEnd - kFirst> vectors_ = no_vectors();
    std::array<uint32_t, kEnd - kFirst> asked_{};  ///< when for the last time, in numbers of questions
    std::array<Mask, kMasks> masks_{};
    uint32_t pinned_ = 0, questions_ = 0, zero_above_ = 0;
    uint8_t next_mask_ = 0;

    static constexpr std::array<uint8_t, kEnd - kFirst> no_vectors() {
        std::array<uint8_t, kEnd - kFirst> none{};
        none.fill(kNone);
        return none;
    }
};

}  // namespace arclight::backend
