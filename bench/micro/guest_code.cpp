#include "bench/micro/guest_code.h"

#include <cstdio>
#include <vector>

namespace arclight::bench {

std::span<const uint32_t> guest_code() {
    static const std::vector<uint32_t> words = [] {
        std::vector<uint32_t> v;
        if (std::FILE* f = std::fopen(GUEST_CODE, "rb")) {
            uint32_t word;
            while (std::fread(&word, 4, 1, f) == 1) v.push_back(word);
            std::fclose(f);
        }
        v.resize(v.size() / 1024 * 1024);
        return v;
    }();
    return words;
}

}  // namespace arclight::bench
