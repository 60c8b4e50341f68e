#include "backend/x64/class_recorder.h"

#include <algorithm>
#include <utility>

#include "jit/guest_state.h"
#include "jit/host_instruction.h"

namespace arclight::backend {

void ClassRecorder::start_block(bool superblock) {
    superblock_ = superblock;
    cold_ = false;
    marks_.clear();
    segments_.clear();
}

jit::HostProfile::Segment::Place ClassRecorder::place() const {
    using enum jit::HostProfile::Segment::Place;
    return !superblock_ ? Block : cold_ ? SuperblockExit : segments_.empty() ? SuperblockEntry : Superblock;
}

uint64_t* ClassRecorder::start_segment() {
    uint64_t* counter = profile_.new_counter();
    segments_.push_back({.runs = counter,
                         .host = {},
                         .guest = 0,
                         .loads = {},
                         .stores = {},
                         .vector_reads = 0,
                         .vector_writes = 0,
                         .place = place(),
                         .shared = false});
    return counter;
}

void ClassRecorder::count(const Code& code) {
    size_t next = 0;
    for (size_t at = 0; at < code.bytes.size();) {
        const jit::HostInstruction insn = jit::host_instruction(code.bytes.subspan(at));
        if (insn.bytes == 0) return;
        while (next < marks_.size() && marks_[next].offset <= code.offset + at) ++next;
        if (next != 0 && marks_[next - 1].cls != jit::HostClass::kCount) {
            const Mark& mark = marks_[next - 1];
            jit::HostProfile::Segment& segment = segments_[mark.segment];
            ++segment.host[static_cast<size_t>(mark.cls)];
            count_registers(insn, segment);
        }
        at += insn.bytes;
    }
}

void ClassRecorder::count_registers(const jit::HostInstruction& insn, jit::HostProfile::Segment& segment) {
    constexpr uint8_t kState = 5;  // rbp
    const int64_t offset = insn.memory.displacement + jit::kStateBias;
    if (insn.memory.present && insn.memory.base == kState && offset >= 0 &&
        offset < static_cast<int64_t>(8 * jit::kIntegerRegisters)) {
        const auto reg = static_cast<size_t>(offset / 8);
        segment.loads[reg] += insn.memory.read;
        segment.stores[reg] += insn.memory.written;
    }
    segment.vector_reads += insn.from_upper_vector;
    segment.vector_writes += insn.to_upper_vector;
}

void ClassRecorder::finish(const Code& hot, const Code& cold) {
    std::ranges::sort(marks_, {}, [](const Mark& m) { return std::pair(m.offset, m.number); });
    count(hot);
    count(cold);
    for (const jit::HostProfile::Segment& s : segments_) profile_.add(s);
}

}  // namespace arclight::backend
