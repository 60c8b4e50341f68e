#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace arclight::devices::test {

/// Zeroed memory that other processes can map.
class TestRam {
  public:
    explicit TestRam(size_t size) : size_(size), file_(memfd_create("test-ram", MFD_CLOEXEC)) {
        if (ftruncate(file_, static_cast<off_t>(size)) != 0) std::abort();
        void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
        if (mapped == MAP_FAILED) std::abort();
        data_ = static_cast<uint8_t*>(mapped);
    }
    TestRam(TestRam&& other) noexcept
        : size_(other.size_), file_(other.file_), data_(std::exchange(other.data_, nullptr)) {}
    ~TestRam() {
        if (data_ == nullptr) return;
        munmap(data_, size_);
        close(file_);
    }
    TestRam(const TestRam&) = delete;
    /// Copies the content; the sizes are equal.
    TestRam& operator=(const TestRam& other) {
        if (this != &other) std::copy(other.begin(), other.end(), begin());
        return *this;
    }

    int file() const { return file_; }
    uint8_t* data() { return data_; }
    size_t size() const { return size_; }
    uint8_t* begin() { return data_; }
    uint8_t* end() { return data_ + size_; }
    const uint8_t* begin() const { return data_; }
    const uint8_t* end() const { return data_ + size_; }

  private:
    const size_t size_;
    const int file_;
    uint8_t* data_ = nullptr;
};

}  // namespace arclight::devices::test
