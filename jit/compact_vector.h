// A vector that takes 8 bytes where it is empty, and one allocation with 8 bytes before its elements where it is not: for what
// there is hundreds of thousands of, such as the parts of translation blocks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace arclight::jit {

/// Of at most 2^32 - 1 elements. push_back() doubles its memory; assign() and resize() take what is needed and no more.
template <typename T>
class CompactVector {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);

  public:
    using value_type = T;

    CompactVector() = default;
    CompactVector(std::initializer_list<T> values) { assign(values.begin(), values.end()); }
    CompactVector(const CompactVector& other) { assign(other.begin(), other.end()); }
    CompactVector(CompactVector&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}
    CompactVector& operator=(CompactVector other) noexcept {
        std::swap(head_, other.head_);
        return *this;
    }
    ~CompactVector() { std::free(head_); }

    size_t size() const { return head_ != nullptr ? head_->size : 0; }
    size_t capacity() const { return head_ != nullptr ? head_->capacity : 0; }
    bool empty() const { return size() == 0; }
    /// Bytes of its allocation, but for what the allocator adds.
    size_t allocated() const { return head_ != nullptr ? sizeof(Head) + capacity() * sizeof(T) : 0; }

    T* data() { return head_ != nullptr ? reinterpret_cast<T*>(head_ + 1) : nullptr; }
    const T* data() const { return head_ != nullptr ? reinterpret_cast<const T*>(head_ + 1) : nullptr; }
    T* begin() { return data(); }
    T* end() { return data() + size(); }
    const T* begin() const { return data(); }
    const T* end() const { return data() + size(); }
    T& operator[](size_t k) { return data()[k]; }
    const T& operator[](size_t k) const { return data()[k]; }
    T& front() { return data()[0]; }
    const T& front() const { return data()[0]; }
    T& back() { return end()[-1]; }
    const T& back() const { return end()[-1]; }

    void reserve(size_t n) {
        if (n <= capacity()) return;
        const auto old = static_cast<uint32_t>(size());
        auto* head = static_cast<Head*>(std::realloc(head_, sizeof(Head) + n * sizeof(T)));
        if (head == nullptr) throw std::bad_alloc();
        head_ = head;
        head_->size = old;
        head_->capacity = static_cast<uint32_t>(n);
    }
    /// New elements are zero.
    void resize(size_t n) {
        reserve(n);
        if (n > size()) std::memset(static_cast<void*>(end()), 0, (n - size()) * sizeof(T));
        if (head_ != nullptr) head_->size = static_cast<uint32_t>(n);
    }
    template <typename Iterator>
    void assign(Iterator first, Iterator last) {
        const auto n = static_cast<size_t>(last - first);
        reserve(n);
        if (head_ == nullptr) return;
        head_->size = static_cast<uint32_t>(n);
        std::copy(first, last, data());
    }
    void assign(std::span<const T> values) { assign(values.begin(), values.end()); }
    void push_back(T value) {
        if (size() == capacity()) reserve(std::max<size_t>(2 * size(), 1));
        data()[head_->size++] = value;
    }
    T* erase(T* first, T* last) {
        if (first == last) return first;
        std::copy(last, end(), first);
        head_->size -= static_cast<uint32_t>(last - first);
        return first;
    }
    T* erase(T* at) { return erase(at, at + 1); }
    /// All elements that are equal to it.
    void remove(T value) { erase(std::remove(begin(), end(), value), end()); }
    void clear() {
        if (head_ != nullptr) head_->size = 0;
    }

  private:
    struct alignas(8) Head {
        uint32_t size, capacity;
    };
    Head* head_ = nullptr;
};

template <typename T>
bool operator==(const CompactVector<T>& a, const CompactVector<T>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace arclight::jit
