#include "backend/x64/class_recorder.h"

#include "jit/host_code.h"

namespace arclight::backend {

void ClassRecorder::start_block() {
    marks_.clear();
    segments_.clear();
}

uint64_t* ClassRecorder::start_segment() {
    uint64_t* counter = profile_.new_counter();
    segments_.push_back({.runs = counter, .host = {}, .guest = 0});
    return counter;
}

void ClassRecorder::count(const Code& code) {
    size_t next = 0;
    for (size_t at = 0; at < code.bytes.size();) {
        const size_t bytes = jit::instruction_length(code.bytes.subspan(at));
        if (bytes == 0) return;
        while (next < marks_.size() && marks_[next].offset <= code.offset + at) ++next;
        if (next != 0 && marks_[next - 1].cls != jit::HostClass::kCount) {
            const Mark& mark = marks_[next - 1];
            ++segments_[mark.segment].host[static_cast<size_t>(mark.cls)];
        }
        at += bytes;
    }
}

void ClassRecorder::finish(const Code& hot, const Code& cold) {
    count(hot);
    count(cold);
    for (const jit::HostProfile::Segment& s : segments_) profile_.add(s);
}

}  // namespace arclight::backend
