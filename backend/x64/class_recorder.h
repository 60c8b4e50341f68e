// What the instructions of the block that is being compiled are for: see jit/host_profile.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jit/host_instruction.h"
#include "jit/host_profile.h"

namespace arclight::backend {

class ClassRecorder {
  public:
    explicit ClassRecorder(jit::HostProfile& profile) : profile_(profile) {}
    void start_block(bool superblock);
    /// What is emitted from now on is out of line.
    void start_cold() { cold_ = true; }
    /// The instructions from `offset` on, an offset in the code buffer.
    void mark(size_t offset, jit::HostClass c) { add(offset, c); }
    /// What is emitted from now on is executed by itself: the counter that it must count in.
    uint64_t* start_segment();
    /// The instructions from `offset` on are the counting itself: of no class.
    void mark_uncounted(size_t offset) { add(offset, jit::HostClass::kCount); }
    void guest_instruction() { ++segments_.back().guest; }

    struct Code {
        size_t offset;                   ///< in the code buffer
        std::span<const uint8_t> bytes;  ///< to read them at
    };
    /// Counts the instructions of the block, which is complete.
    void finish(const Code& hot, const Code& cold);

  private:
    struct Mark {
        size_t offset;
        jit::HostClass cls;
        uint16_t segment;
        uint32_t number;  ///< of those at one offset the last one counts
    };
    void add(size_t offset, jit::HostClass c) {
        marks_.push_back({offset, c, segment(), static_cast<uint32_t>(marks_.size())});
    }
    /// What comes before the first segment's counter belongs to it.
    uint16_t segment() const { return static_cast<uint16_t>(segments_.empty() ? 0 : segments_.size() - 1); }
    void count(const Code& code);
    jit::HostProfile::Segment::Place place() const;
    static void count_registers(const jit::HostInstruction& insn, jit::HostProfile::Segment& segment);

    jit::HostProfile& profile_;
    bool superblock_ = false, cold_ = false;
    std::vector<Mark> marks_;
    std::vector<jit::HostProfile::Segment> segments_;
};

}  // namespace arclight::backend
