#include "host/page_colours.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace arclight::host {

namespace {

constexpr size_t kPage = 4096, kChunk = size_t{16} << 20;
/// Each page may be a mapping of its own, of which the host gives a process 65530, and other parts want some.
constexpr unsigned kMostMappings = 30'000;

std::unexpected<std::string> failed(const std::string& what) {
    return std::unexpected(what + ": " + std::strerror(errno));
}

std::optional<uint64_t> number_in(const std::string& file) {
    std::ifstream in(file);
    uint64_t value = 0;
    if (!(in >> value)) return {};
    return value;
}

/// Anonymous memory in pages of 4 KiB that are there.
class Chunk {
  public:
    explicit Chunk(size_t bytes) : bytes_(bytes) {
        void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return;
        data_ = static_cast<uint8_t*>(at);
        madvise(data_, bytes, MADV_NOHUGEPAGE);
        for (size_t page = 0; page < bytes; page += kPage) const_cast<volatile uint8_t*>(data_)[page] = 0;
    }
    Chunk(Chunk&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
    Chunk& operator=(Chunk&&) = delete;
    ~Chunk() {
        if (data_ != nullptr) munmap(data_, bytes_);
    }
    uint8_t* data() const { return data_; }

  private:
    uint8_t* data_ = nullptr;
    size_t bytes_;
};

// ---- The kernel's side. <linux/userfaultfd.h> before Linux 6.8 has not what moves pages.

struct MoveRequest {
    uint64_t to, from, bytes, mode;
    int64_t moved;
};
constexpr uint64_t kFeatureMove = uint64_t{1} << 16;
constexpr unsigned long kMove = _IOWR(UFFDIO, 0x05, MoveRequest);

/// Negative: this kernel does not move pages.
int open_mover() {
    const int file = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
    if (file < 0) return -1;
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = kFeatureMove;
    if (ioctl(file, UFFDIO_API, &api) == 0) return file;
    close(file);
    return -1;
}

class KernelsMover final : public PageMover {
  public:
    KernelsMover(int pagemap, int faults) : pagemap_(pagemap), faults_(faults) {}

    std::expected<void, std::string> frames(const uint8_t* first, std::span<uint64_t> to) override {
        constexpr uint64_t kPresent = uint64_t{1} << 63, kFrame = (uint64_t{1} << 55) - 1;
        const auto at = static_cast<off_t>(reinterpret_cast<uint64_t>(first) / kPage * sizeof to[0]);
        const ssize_t got = pread(pagemap_, to.data(), to.size_bytes(), at);
        if (got < 0) return failed("cannot read which pages of the host's memory there are");
        std::fill(to.begin() + got / static_cast<ssize_t>(sizeof to[0]), to.end(), 0);
        for (uint64_t& entry : to) entry = (entry & kPresent) != 0 ? entry & kFrame : 0;
        return {};
    }
    std::expected<void, std::string> begin(uint8_t* to, size_t bytes) override {
        madvise(to, bytes, MADV_NOHUGEPAGE);
        if (faults_ < 0) return {};
        uffdio_register known{};
        known.range = {reinterpret_cast<uint64_t>(to), bytes};
        known.mode = UFFDIO_REGISTER_MODE_MISSING;
        if (ioctl(faults_, UFFDIO_REGISTER, &known) != 0) return failed("the host does not move pages");
        return {};
    }
    void end(uint8_t* to, size_t bytes) override {
        if (faults_ < 0) return;
        uffdio_range range{reinterpret_cast<uint64_t>(to), bytes};
        (void)ioctl(faults_, UFFDIO_UNREGISTER, &range);
    }
    std::expected<void, std::string> move(uint8_t* to, uint8_t* from, size_t bytes) override {
        if (faults_ < 0) return remap(to, from, bytes);
        // Pages move to where there are none.
        if (madvise(to, bytes, MADV_DONTNEED) != 0) return failed("the host does not move pages");
        for (size_t done = 0; done < bytes;) {
            MoveRequest request{reinterpret_cast<uint64_t>(to) + done,
                                reinterpret_cast<uint64_t>(from) + done, bytes - done, 0, 0};
            if (ioctl(faults_, kMove, &request) != 0 && errno != EAGAIN)
                return failed("the host does not move pages");
            done += static_cast<size_t>(std::max<int64_t>(request.moved, 0));
        }
        return {};
    }

  private:
    std::expected<void, std::string> remap(uint8_t* to, uint8_t* from, size_t bytes) {
        if (++mappings_ > kMostMappings)
            return std::unexpected("this kernel moves pages by a mapping each (before Linux 6.8), of which " +
                                   std::to_string(kMostMappings) +
                                   " may be used: too few for so much memory");
        // What it leaves keeps its mapping, so that there are not twice as many.
        if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == MAP_FAILED)
            return failed("the host does not move pages");
        return {};
    }

    const int pagemap_, faults_;
    unsigned mappings_ = 0;
};

/// Pages of chosen colours, out of memory that is kept until the end of this object.
class Supply {
  public:
    Supply(const PageColours& colours, PageMover& mover, size_t most)
        : colours_(colours), mover_(mover), most_(most), frames_(kChunk / kPage) {}

    /// The next ones that follow each other, `most` at most, one at least.
    std::expected<std::span<uint8_t>, std::string> next(size_t most) {
        for (;; ++page_) {
            if (page_ == frames_.size() || chunks_.empty())
                if (auto more = look_at_more(); !more) return std::unexpected(more.error());
            if (!good(page_)) continue;
            const size_t first = page_;
            while (page_ < frames_.size() && page_ - first < most && good(page_)) ++page_;
            return std::span(chunks_.back().data() + first * kPage, (page_ - first) * kPage);
        }
    }
    size_t looked_at() const { return chunks_.size() * kChunk; }

  private:
    bool good(size_t page) const {
        return page < frames_.size() && frames_[page] != 0 && colours_.has(frames_[page]);
    }
    std::expected<void, std::string> look_at_more() {
        if (looked_at() + kChunk > most_) return std::unexpected(std::string());
        if (chunks_.emplace_back(kChunk).data() == nullptr) return failed("no memory to choose pages from");
        page_ = 0;
        return mover_.frames(chunks_.back().data(), frames_);
    }

    const PageColours& colours_;
    PageMover& mover_;
    const size_t most_;
    std::vector<Chunk> chunks_;
    std::vector<uint64_t> frames_;  ///< of the last chunk
    size_t page_ = 0;               ///< the next one of it
};

/// An error that says nothing yet: the supply is at its end.
std::string why_no_more(const std::string& error, const Supply& supply, size_t done, size_t bytes) {
    if (!error.empty()) return error;
    return std::to_string(done >> 20) + " of " + std::to_string(bytes >> 20) +
           " MiB have these colours among the " + std::to_string(supply.looked_at() >> 20) +
           " MiB that the host has to choose from";
}

/// What is likely to be looked at for so much memory.
std::expected<void, std::string> check_room(size_t bytes, const PageColours& colours, size_t spare) {
    const uint64_t wanted = uint64_t{bytes} / colours.chosen.count() * colours.of;
    if (wanted <= spare) return {};
    return std::unexpected(std::to_string(bytes >> 20) + " MiB in " + std::to_string(colours.chosen.count()) +
                           " of " + std::to_string(colours.of) + " colours are chosen from " +
                           std::to_string(wanted >> 20) + " MiB, and the host has " +
                           std::to_string(spare >> 20) + " MiB to spare");
}

}  // namespace

unsigned colours_of_second_level(const std::string& root) {
    const std::string caches = root + "/devices/system/cpu/cpu0/cache/index";
    for (unsigned index = 0;; ++index) {
        const std::string cache = caches + std::to_string(index);
        const auto level = number_in(cache + "/level");
        if (!level) return 0;
        if (*level != 2) continue;
        const auto sets = number_in(cache + "/number_of_sets"),
                   line = number_in(cache + "/coherency_line_size");
        if (!sets || !line || *sets > UINT32_MAX || *line > kPage) return 0;
        const uint64_t colours = std::max<uint64_t>(*sets * *line / kPage, 1);
        return std::has_single_bit(colours) && colours < CPU_SETSIZE ? static_cast<unsigned>(colours) : 0;
    }
}

bool in_virtual_machine() {
    constexpr unsigned kHypervisor = 1u << 31;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kHypervisor) != 0;
}

std::expected<void, std::string> colour_memory(uint8_t* to, size_t bytes, const PageColours& colours,
                                               PageMover& mover, size_t most) {
    if (auto begun = mover.begin(to, bytes); !begun) return begun;
    Supply supply(colours, mover, most);
    std::expected<void, std::string> filled;
    for (size_t done = 0; done < bytes;) {
        const auto pages = supply.next((bytes - done) / kPage);
        filled = pages ? mover.move(to + done, pages->data(), pages->size())
                       : std::unexpected(why_no_more(pages.error(), supply, done, bytes));
        if (!filled) break;
        done += pages->size();
    }
    mover.end(to, bytes);
    return filled;
}

std::expected<void, std::string> recolour_memory(uint8_t* to, size_t bytes, const PageColours& colours,
                                                 PageMover& mover, size_t most) {
    if (auto begun = mover.begin(to, bytes); !begun) return begun;
    Supply supply(colours, mover, most);
    std::vector<uint64_t> frames;
    std::array<uint8_t, kPage> content;
    std::expected<void, std::string> changed;
    size_t lost = bytes;  // where a page was when it could not be moved
    for (size_t block = 0; block < bytes && changed; block += kChunk) {
        frames.resize(std::min(kChunk, bytes - block) / kPage);
        changed = mover.frames(to + block, frames);
        for (size_t k = 0; k < frames.size() && changed; ++k) {
            if (frames[k] != 0 && colours.has(frames[k])) continue;
            const size_t at = block + k * kPage;
            const auto page = supply.next(1);
            if (!page) {
                changed = std::unexpected(why_no_more(page.error(), supply, at, bytes));
                break;
            }
            std::memcpy(content.data(), to + at, kPage);
            std::memcpy(page->data(), content.data(), kPage);
            changed = mover.move(to + at, page->data(), kPage);
            if (!changed) lost = at;
        }
    }
    mover.end(to, bytes);
    if (lost < bytes) std::memcpy(to + lost, content.data(), kPage);
    return changed;
}

PageColourer::PageColourer(const PageColours& colours, int pagemap, int meminfo)
    : colours_(colours), pagemap_(pagemap), meminfo_(meminfo) {}

PageColourer::~PageColourer() {
    close(pagemap_);
    if (meminfo_ >= 0) close(meminfo_);
    if (faults_ >= 0) close(faults_);
}

void PageColourer::do_without_moves() {
    if (faults_ >= 0) close(faults_);
    faults_ = -1;
}

std::expected<std::shared_ptr<PageColourer>, std::string> PageColourer::open(const PageColours& colours,
                                                                             const std::string& pagemap) {
    const int file = ::open(pagemap.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return failed("cannot open " + pagemap);
    const int meminfo = ::open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    std::shared_ptr<PageColourer> opened(new PageColourer(colours, file, meminfo));
    // Without the right every page has the number 0.
    const Chunk sample(kPage);
    uint64_t frame = 0;
    if (sample.data() == nullptr) return failed("no memory");
    if (auto known = KernelsMover(file, -1).frames(sample.data(), {&frame, 1}); !known)
        return std::unexpected(known.error());
    if (frame == 0)
        return std::unexpected(
            "which pages of the host's memory a process has is told to root on it alone (CAP_SYS_ADMIN)");
    opened->faults_ = open_mover();
    return opened;
}

/// Of what is available one part stays for others.
size_t PageColourer::spare() const {
    constexpr size_t kParts = 8;
    constexpr std::string_view kName = "MemAvailable:";
    std::array<char, 4096> text;
    const ssize_t got = pread(meminfo_, text.data(), text.size(), 0);
    const std::string_view all(text.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
    size_t at = all.find(kName);
    if (at == std::string_view::npos) return 0;
    at = std::min(all.find_first_not_of(' ', at + kName.size()), all.size());
    size_t kib = 0;
    std::from_chars(all.data() + at, all.data() + all.size(), kib);
    return (kib << 10) / kParts * (kParts - 1);
}

PageColours PageColourer::colours() const {
    const std::lock_guard guard(lock_);
    return colours_;
}

std::expected<void, std::string> PageColourer::colour(uint8_t* to, size_t bytes) const {
    const std::lock_guard guard(lock_);
    KernelsMover mover(pagemap_, faults_);
    const size_t most = spare();
    if (auto room = check_room(bytes, colours_, most); !room) return room;
    return colour_memory(to, bytes, colours_, mover, most);
}

std::expected<void, std::string> PageColourer::recolour(uint8_t* to, size_t bytes,
                                                        const PageColours& colours) {
    const std::lock_guard guard(lock_);
    if (faults_ < 0)
        return std::unexpected("this kernel does not move pages of memory that is in use (Linux 6.8)");
    KernelsMover mover(pagemap_, faults_);
    const size_t most = spare();
    if (auto room = check_room(bytes, colours, most); !room) return room;
    auto done = recolour_memory(to, bytes, colours, mover, most);
    if (done) colours_ = colours;
    return done;
}

namespace {
std::shared_ptr<PageColourer>& chosen_colourer() {
    static std::shared_ptr<PageColourer> chosen;
    return chosen;
}
}  // namespace

std::expected<void, std::string> choose_page_colours(const PageColours& colours) {
    auto opened = PageColourer::open(colours);
    if (!opened) return std::unexpected(opened.error());
    chosen_colourer() = std::move(*opened);
    return {};
}

std::shared_ptr<PageColourer> page_colourer() { return chosen_colourer(); }

}  // namespace arclight::host
