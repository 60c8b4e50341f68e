#include "guestos/nearest_word.h"

#include <algorithm>
#include <cstddef>

namespace arclight::guestos {

namespace {

constexpr size_t kMaxDistance = 2;

/// Of Levenshtein: how many letters are to be put in, taken out or changed.
size_t distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t changed = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& known) {
    std::string_view best;
    size_t least = kMaxDistance + 1;
    for (const std::string_view one : known) {
        // A long difference in length is a long distance: what is not near is not compared.
        const size_t longer = std::max(word.size(), one.size()), shorter = std::min(word.size(), one.size());
        const bool begun = word.size() > kMaxDistance && one.starts_with(word);
        if (!begun && longer - shorter > kMaxDistance) continue;
        const size_t far = begun ? 1 : distance(word, one);
        // A word of which no letter is right is not near, however short it is.
        if (far < least && far < shorter) best = one, least = far;
    }
    return best;
}

}  // namespace arclight::guestos
