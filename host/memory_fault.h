// Guest memory that the host may take away while it is mapped: a file that is truncated or whose device fails, a page with
// an uncorrectable error. The host tells by SIGBUS, or by EFAULT of KVM_RUN.
//
// An access to such memory has one of three ends:
//   - in touch(), which every access of C++ goes through: it returns false;
//   - in translated code, for which TranslatedFault names another place to go on: the thread goes on there;
//   - elsewhere: the page is lent (replaced by one of zeros), and the access is done. LentPage says so to a virtual CPU, which
//     makes the page lost again and tells the guest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace arclight::host {

/// Registers a mapping as such memory; `what` is for the one line that tells of its first fault.
class FallibleMemory {
  public:
    /// Anonymous: only an uncorrectable error takes a page of it.
    enum class Kind : uint8_t { Anonymous, File };
    FallibleMemory(const void* base, size_t bytes, std::string what, Kind kind);
    ~FallibleMemory();
    FallibleMemory(const FallibleMemory&) = delete;
    FallibleMemory& operator=(const FallibleMemory&) = delete;

  private:
    const std::string what_;
    const Kind kind_;
    unsigned slot_;
};

namespace detail {
/// Where a thread goes on when its innermost touch() fails.
struct Landing {
    uint64_t rsp;
    Landing* outer;
};
extern thread_local Landing* innermost;
extern std::atomic<unsigned> guarded;  ///< mappings that may fail, or have
extern std::atomic<bool> lost;         ///< some has failed
extern "C" bool arclight_host_try(void (*access)(void*), void* context, Landing* landing);
struct Word {
    uint64_t value;
    bool done;
};
Word touch_guarded_word(const uint64_t* place);
}  // namespace detail

/// Calls `access`, which may read and write fallible memory and does nothing else: it holds no lock and no object with a
/// destructor, for it is left in the middle when the memory is gone. False: that happened; what it had stored until then
/// is stored.
template <typename F>
bool touch(F&& access) {
    if (detail::guarded.load(std::memory_order_relaxed) == 0) [[likely]] {
        access();
        return true;
    }
    using Access = std::remove_reference_t<F>;
    detail::Landing landing{0, detail::innermost};
    const bool done =
        detail::arclight_host_try([](void* f) { (*static_cast<Access*>(f))(); },
                                  const_cast<void*>(static_cast<const void*>(&access)), &landing);
    detail::innermost = landing.outer;
    return done;
}

/// Reads an aligned word (acquire) as touch() does. For hot paths: `value` may stay in a register, which no variable does
/// that touch() takes by reference.
[[gnu::always_inline]] inline bool touch_word(const uint64_t* place, uint64_t& value) {
    if (detail::guarded.load(std::memory_order_relaxed) == 0) [[likely]] {
        value = __atomic_load_n(place, __ATOMIC_ACQUIRE);
        return true;
    }
    const auto read = detail::touch_guarded_word(place);
    value = read.value;
    return read.done;
}

/// Whether any such memory was ever found gone.
inline bool memory_was_lost() { return detail::lost.load(std::memory_order_relaxed); }

/// Where the calling thread goes on if it is in a touch() that guards.
struct Continuation {
    uint64_t pc, sp;
};
std::optional<Continuation> continuation();

/// What translated code does about a fault at `pc` on the calling thread: where it goes on, or null.
using TranslatedFault = const void* (*)(const void* pc);
/// Tells a virtual CPU's thread that an access of its to `address` was carried out on a lent page; null: to some address.
using LentPage = void (*)(const void* address, bool write);
void set_memory_fault_hooks(TranslatedFault translated, LentPage lent);

/// Prints the one line about the mapping that `address` is in. False: it is no fallible memory.
bool note_lost(const void* address);
/// Replaces the page by one of zeros. Async-signal-safe.
void lend_page(const void* address);
/// How many pages have been lent so far; nothing while one is, whose zeros are not what it held. A copy of memory is good if the
/// number is there before it and the same after it.
std::optional<uint64_t> pages_lent();
/// Makes every access to the page fault.
void lose_page(const void* address);
/// For a fault without an address: lends every page of fallible memory that is not there, and tells as LentPage does. False:
/// all of it is there.
bool lend_lost_pages();
/// Takes the pages back that lend_lost_pages() lent.
void lose_lent_pages();

/// A SIGBUS of the calling thread by an access to `address` at *pc. True: handled, and the thread goes on at *pc with *sp.
bool handle_memory_fault(const void* address, bool write, uint64_t* pc, uint64_t* sp);

// ---- Memory that this process withholds from itself, to see accesses to it

/// A mapping of which some pages may have fewer rights than those who access it know: SIGSEGV, or EFAULT of KVM_RUN. Such an
/// access ends as one to lost memory does, but nothing is lent: in touch(), which returns false and leaves take_withheld() true;
/// or in translated code, which goes on elsewhere.
class WithheldMemory {
  public:
    enum class Answer : uint8_t {
        Opened,     ///< the access is permitted from now on: it is to be made again
        Permitted,  ///< the same, but it has been permitted before the question
        Refused,
    };
    /// Called in a signal's handler too.
    struct Owner {
        /// On the thread that made the access.
        Answer (*ask)(void* context, const void* address, bool write);
        /// Where else this process has the memory that lies at `address`; null: nowhere else. Of that place's FallibleMemory is
        /// told what is lost here.
        const void* (*origin)(void* context, const void* address);
        /// The first page from `from` on that has an origin; null: there is none.
        const void* (*next)(void* context, const void* from);
        void* context;
    };
    /// At most 16 are there at a time; of more, accesses are not noticed and end the program.
    WithheldMemory(const void* base, size_t bytes, const Owner& owner);
    ~WithheldMemory();
    WithheldMemory(const WithheldMemory&) = delete;
    WithheldMemory& operator=(const WithheldMemory&) = delete;

    // ---- One thread at a time
    /// From now on touch() guards, whatever is withheld. True: it may not have until now, so no right may be withheld before the
    /// accesses that are under way have ended.
    bool guard();
    /// Whether some page has fewer rights.
    void set_active(bool active);

  private:
    unsigned slot_;
    bool active_ = false, guards_ = false;
};

/// Nothing: `address` is in no such mapping.
std::optional<WithheldMemory::Answer> ask_withheld(const void* address, bool write);
/// Whether any page is withheld now.
bool any_withheld();
/// The calling thread's touch() is about to fail for that reason.
void note_withheld();
/// Whether the calling thread's last failed touch() failed for that reason: it is to be made again. False from then on.
bool take_withheld();
/// How often at most: memory that is gone may look like memory that is withheld.
inline constexpr unsigned kMaxWithheld = 64;
/// As handle_memory_fault(), of a SIGSEGV.
bool handle_withheld_fault(const void* address, bool write, uint64_t* pc, uint64_t* sp);

}  // namespace arclight::host
