// The key by which the program knows its own files again.
//
// What is kept on disk and executed by a later run may come back changed: a cache directory is copied, restored, mounted from
// elsewhere. So each such file carries a message authentication code, made with a key that lies outside of the cache.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "mmu/result.h"

namespace arclight::jit {

class CacheKey {
  public:
    /// BLAKE2b-256 with the key (RFC 7693).
    using Code = std::array<uint8_t, 32>;

    /// Reads the key from the file at `path`, and makes the file with mode 0600 and a random key if there is none. The
    /// file must be this user's alone, and outside of `cache`, a directory whose files the key authenticates. An error is
    /// one line for the user.
    static Result<std::unique_ptr<CacheKey>> open(const std::string& path, const std::string& cache);
    ~CacheKey();
    CacheKey(const CacheKey&) = delete;
    CacheKey& operator=(const CacheKey&) = delete;

    /// Of the parts one behind the other. `purpose`: at most 16 bytes, another one for each kind of file.
    Code authenticate(std::string_view purpose, std::initializer_list<std::span<const char>> parts) const;
    /// Of one message of many that share a nonce, which no other messages have: Poly1305 with a key that authenticate() makes
    /// of the nonce and the message's number. An order of magnitude faster.
    using Tag = std::array<uint8_t, 16>;
    Tag tag(std::string_view purpose, const Code& nonce, uint64_t number, std::string_view message) const;
    bool has_tag(std::string_view purpose, const Code& nonce, uint64_t number, std::string_view message,
                 const Tag& tag) const;
    /// Random. Nothing: the host gives no random numbers.
    static std::optional<Code> nonce();
    /// In time that does not depend on where the two differ.
    static bool same(const Code& a, const Code& b);

  private:
    static constexpr size_t kBytes = 32;
    using Secret = std::array<uint8_t, kBytes>;
    explicit CacheKey(const Secret& secret) : secret_(secret) {}

    Secret secret_;
};

}  // namespace arclight::jit
