// What a word that nobody knows was meant to be.
#pragma once

#include <string_view>
#include <vector>

namespace arclight::guestos {

/// Of `known`, the word that is spelt most like `word`, or that begins with it; empty: none is near.
std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace arclight::guestos
