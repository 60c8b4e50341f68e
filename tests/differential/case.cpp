#include "tests/differential/case.h"

#include <sys/mman.h>

#include <cstring>
#include <stdexcept>

namespace arclight::differential {

const char* name(Stop stop) {
    static constexpr const char* kNames[] = {"not run",         "end",   "undefined", "svc",
                                             "alignment fault", "fault", "limit",     "broken"};
    return kNames[static_cast<unsigned>(stop)];
}

void map_guest_memory() {
    static bool mapped = false;
    if (mapped) return;
    const size_t bytes = DIFF_CODE_BYTES + DIFF_ARENA_BYTES;
    void* want = reinterpret_cast<void*>(DIFF_CODE_VA);
    void* got =
        mmap(want, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != want) throw std::runtime_error("the address range of the test code is taken in this process");
    mapped = true;
}

void place_code(const Batch& batch) {
    auto* code = reinterpret_cast<uint32_t*>(DIFF_CODE_VA);
    for (const Case& c : batch.cases) {
        uint32_t* slot = code + c.slot_offset / 4;
        for (unsigned i = 0; i < c.slot_bytes / 4; ++i) slot[i] = DIFF_FILLER;
        std::memcpy(code + c.code_offset / 4, c.words.data(), c.words.size() * 4);
    }
    restore_arena(batch);
}

void restore_arena(const Batch& batch) {
    std::memcpy(reinterpret_cast<void*>(DIFF_ARENA_VA), batch.arena, DIFF_ARENA_BYTES);
}

std::vector<DiffGranule> changed_granules(const uint8_t* before, const uint8_t* after) {
    std::vector<DiffGranule> list;
    for (unsigned block = 0; block < DIFF_ARENA_BYTES; block += 512) {
        if (std::memcmp(before + block, after + block, 512) == 0) continue;
        for (unsigned i = block; i < block + 512; i += 16) {
            if (std::memcmp(before + i, after + i, 16) == 0) continue;
            DiffGranule g{i / 16, 0, {}};
            std::memcpy(g.data, after + i, 16);
            list.push_back(g);
        }
    }
    return list;
}

}  // namespace arclight::differential
