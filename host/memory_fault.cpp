#include "host/memory_fault.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "host/signal_text.h"

namespace arclight::host {

namespace {

constexpr uint64_t kPage = 4096;

// In static memory, so that a signal handler can look without a lock.
struct Mapping {
    std::atomic<bool> taken{false};
    std::atomic<uint64_t> base{0}, end{0};
    std::atomic<const char*> what{nullptr};
    std::atomic<bool> file{false};
    std::atomic<bool> told{false};
};
constexpr unsigned kMappings = 256;
std::array<Mapping, kMappings> mappings;

std::atomic<TranslatedFault> translated_fault{nullptr};
std::atomic<LentPage> lent_page{nullptr};
std::atomic<int> empty_file{-1};  ///< a file of no bytes

struct Withheld {
    std::atomic<bool> taken{false};
    std::atomic<uint64_t> base{0}, end{0};
    WithheldMemory::Owner owner{};  ///< written before `end`
};
std::array<Withheld, 16> withheld;
std::atomic<unsigned> withheld_active{0};
thread_local bool withheld_noted = false;

std::atomic<uint64_t> lendings{0};  ///< so far
std::atomic<int64_t> lent_now{0};
std::mutex lent_lock;
std::vector<uint64_t> lent;  ///< by lend_lost_pages()

/// Pages may be lost that were not lent.
void count_taken_back() {
    int64_t now = lent_now;
    while (now > 0 && !lent_now.compare_exchange_weak(now, now - 1)) {
    }
}

void* page_of(const void* address) {
    return reinterpret_cast<void*>(reinterpret_cast<uint64_t>(address) & ~(kPage - 1));
}

Mapping* find(const void* address) {
    const auto at = reinterpret_cast<uint64_t>(address);
    for (Mapping& m : mappings)
        if (at >= m.base && at < m.end) return &m;
    return nullptr;
}

/// Of memory that is mapped in a second place, its first one.
const void* origin_of(const void* address) {
    const auto at = reinterpret_cast<uint64_t>(address);
    for (const Withheld& w : withheld)
        if (at >= w.base && at < w.end)
            if (const void* origin = w.owner.origin(w.owner.context, address)) return origin;
    return address;
}

/// An access behind the end of a mapped file faults. The first mapping opens it: later a sandbox may forbid it.
void open_empty_file() {
    static const int fd = memfd_create("lost", MFD_CLOEXEC);
    empty_file = fd;
}

}  // namespace

namespace detail {

thread_local Landing* innermost = nullptr;
std::atomic<unsigned> guarded{0};
std::atomic<bool> lost{false};

// Saves what a callee must (System V ABI 3.2.1) and calls access(context). A fault goes on at arclight_host_landing with
// landing->rsp, and returns false to the caller.
asm(R"(
    .pushsection .text
    .p2align 4
    .globl arclight_host_try
    .hidden arclight_host_try
    .type arclight_host_try, @function
arclight_host_try:
    .cfi_startproc
    endbr64
    push %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    push %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    push %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    push %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    push %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    mov %rsp, (%rdx)
    mov %rdi, %rbx
    mov %rsi, %r12
    mov %rdx, %rdi
    call arclight_host_enter
    mov %r12, %rdi
    call *%rbx
    mov $1, %eax
    jmp 1f
    .globl arclight_host_landing
    .hidden arclight_host_landing
arclight_host_landing:
    cld
    xor %eax, %eax
1:
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    pop %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    pop %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    pop %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    pop %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    pop %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size arclight_host_try, .-arclight_host_try
    .popsection
)");

extern "C" [[gnu::visibility("hidden"), gnu::used]] void arclight_host_enter(Landing* landing) {
    innermost = landing;
}
extern "C" [[gnu::visibility("hidden")]] const char arclight_host_landing;

Word touch_guarded_word(const uint64_t* place) {
    Word word{0, false};
    word.done = touch([&] { word.value = __atomic_load_n(place, __ATOMIC_ACQUIRE); });
    return word;
}

}  // namespace detail

// ---- The mappings

FallibleMemory::FallibleMemory(const void* base, size_t bytes, std::string what, Kind kind)
    : what_(std::move(what)), kind_(kind), slot_(kMappings) {
    open_empty_file();
    for (unsigned i = 0; i < kMappings; ++i) {
        bool free = false;
        Mapping& m = mappings[i];
        if (!m.taken.compare_exchange_strong(free, true)) continue;
        m.what = what_.c_str();
        m.file = kind == Kind::File;
        m.told = false;
        m.base = reinterpret_cast<uint64_t>(base);
        m.end = reinterpret_cast<uint64_t>(base) + bytes;
        slot_ = i;
        break;
    }
    if (kind_ == Kind::File) ++detail::guarded;
}

FallibleMemory::~FallibleMemory() {
    if (kind_ == Kind::File) --detail::guarded;
    if (slot_ == kMappings) return;
    Mapping& m = mappings[slot_];
    m.end = 0;
    m.base = 0;
    m.what = nullptr;
    m.taken = false;
}

void set_memory_fault_hooks(TranslatedFault translated, LentPage lent) {
    translated_fault = translated;
    lent_page = lent;
}

bool note_lost(const void* there) {
    const void* address = origin_of(there);
    Mapping* m = find(address);
    if (m == nullptr) return false;
    detail::lost = true;
    if (m->told.exchange(true)) return true;
    if (!m->file) ++detail::guarded;  // from now on it may fail like a file
    const char* what = m->what;
    SignalText text;
    text << "arclight: " << std::string_view(what != nullptr ? what : "memory").substr(0, 300)
         << " is gone at offset ";
    text.hex(reinterpret_cast<uint64_t>(page_of(address)) - m->base);
    text << " (truncated, or its device failed); the guest gets external aborts there\n";
    text.flush();
    return true;
}

// ---- Pages

void lend_page(const void* address) {
    ++lendings;
    ++lent_now;
    mmap(page_of(address), kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void lose_page(const void* address) {
    const int fd = empty_file;
    if (fd >= 0) mmap(page_of(address), kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    count_taken_back();
}

std::optional<uint64_t> pages_lent() {
    // The count first: a page that is taken back after that was counted in `lendings` before.
    const int64_t now = lent_now;
    return now > 0 ? std::nullopt : std::optional(lendings.load());
}

bool lend_lost_pages() {
    bool any = false;
    const auto lend = [&any](uint64_t at) {
        const auto* page = reinterpret_cast<const volatile uint8_t*>(at);
        if (touch([page] { (void)*page; })) return;
        lend_page(reinterpret_cast<const void*>(at));
        const std::lock_guard guard(lent_lock);
        lent.push_back(at);
        any = true;
    };
    for (const Mapping& m : mappings) {
        if (!m.file) continue;
        for (uint64_t at = m.base; at < m.end; at += kPage) lend(at);
    }
    for (const Withheld& w : withheld) {
        if (w.end == 0) continue;
        const void* at = reinterpret_cast<const void*>(w.base.load());
        while ((at = w.owner.next(w.owner.context, at)) != nullptr) {
            lend(reinterpret_cast<uint64_t>(at));
            at = static_cast<const uint8_t*>(at) + kPage;
        }
    }
    if (const LentPage tell = lent_page; any && tell != nullptr) tell(nullptr, false);
    return any;
}

void lose_lent_pages() {
    const std::lock_guard guard(lent_lock);
    for (const uint64_t at : lent)
        if (find(reinterpret_cast<const void*>(at)) != nullptr)
            lose_page(reinterpret_cast<const void*>(at));
        else
            count_taken_back();  // its mapping is gone
    lent.clear();
}

// ---- Faults

std::optional<Continuation> continuation() {
    if (detail::innermost == nullptr) return std::nullopt;
    return Continuation{reinterpret_cast<uint64_t>(&detail::arclight_host_landing), detail::innermost->rsp};
}

bool handle_memory_fault(const void* address, bool write, uint64_t* pc, uint64_t* sp) {
    if (const auto next = continuation()) {
        note_lost(address);
        *pc = next->pc;
        *sp = next->sp;
        return true;
    }
    if (!note_lost(address)) return false;
    if (const TranslatedFault translated = translated_fault)
        if (const void* next = translated(reinterpret_cast<const void*>(*pc))) {
            *pc = reinterpret_cast<uint64_t>(next);
            return true;
        }
    lend_page(address);
    if (const LentPage tell = lent_page) tell(address, write);
    return true;
}

// ---- Withheld memory

WithheldMemory::WithheldMemory(const void* base, size_t bytes, const Owner& owner)
    : slot_(static_cast<unsigned>(withheld.size())) {
    for (unsigned i = 0; i < withheld.size(); ++i) {
        bool free = false;
        Withheld& w = withheld[i];
        if (!w.taken.compare_exchange_strong(free, true)) continue;
        w.owner = owner;
        w.base = reinterpret_cast<uint64_t>(base);
        w.end = reinterpret_cast<uint64_t>(base) + bytes;
        slot_ = i;
        break;
    }
}

WithheldMemory::~WithheldMemory() {
    set_active(false);
    if (guards_) --detail::guarded;
    if (slot_ == withheld.size()) return;
    Withheld& w = withheld[slot_];
    w.end = 0;
    w.base = 0;
    w.taken = false;
}

bool WithheldMemory::guard() {
    if (std::exchange(guards_, true)) return false;
    return detail::guarded++ == 0;
}

void WithheldMemory::set_active(bool active) {
    if (std::exchange(active_, active) == active) return;
    if (active)
        ++withheld_active;
    else
        --withheld_active;
}

std::optional<WithheldMemory::Answer> ask_withheld(const void* address, bool write) {
    const auto at = reinterpret_cast<uint64_t>(address);
    for (const Withheld& w : withheld)
        if (at >= w.base && at < w.end) return w.owner.ask(w.owner.context, address, write);
    return std::nullopt;
}

bool any_withheld() { return withheld_active != 0; }
void note_withheld() { withheld_noted = true; }
bool take_withheld() { return std::exchange(withheld_noted, false); }

bool handle_withheld_fault(const void* address, bool write, uint64_t* pc, uint64_t* sp) {
    const auto answer = ask_withheld(address, write);
    if (!answer) return false;
    if (*answer != WithheldMemory::Answer::Refused) return true;
    if (const auto next = continuation()) {
        note_withheld();
        *pc = next->pc;
        *sp = next->sp;
        return true;
    }
    const TranslatedFault translated = translated_fault;
    const void* next = translated != nullptr ? translated(reinterpret_cast<const void*>(*pc)) : nullptr;
    if (next == nullptr) return false;
    *pc = reinterpret_cast<uint64_t>(next);
    return true;
}

}  // namespace arclight::host
