// Page colours: memory of this process in pages of the host's that share no sets of a cache with another's pages.
//
// A cache that is found by physical addresses has some sets for each page; pages whose numbers agree modulo the number of colours
// (sets x bytes a line / 4096) have the same ones. Whoever has pages of some colours only can take the lines of nobody with other
// colours (Taylor, Davies and Farmwald, "The TLB slice", ISCA 1990; Kessler and Hill, TOCS 1992). Which page lies where the kernel tells
// with CAP_SYS_ADMIN (/proc/self/pagemap, Documentation/admin-guide/mm/pagemap.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "host/cores.h"

namespace arclight::host {

/// Some of the colours that pages of 4 KiB have.
struct PageColours {
    unsigned of = 0;  ///< how many there are, a power of two; 0: pages are not chosen
    CoreSet chosen;   ///< numbers below `of`, one at least
    bool has(uint64_t frame) const { return chosen.contains(static_cast<unsigned>(frame % of)); }
};

/// Of the second level of cache of core 0, the last one whose sets are not found by a hash on processors of today. 0: sysfs (`root`)
/// does not say, or it is no power of two; 1: it has one.
unsigned colours_of_second_level(const std::string& root = "/sys");
/// A hypervisor below decides which pages of the machine's memory this host's are.
bool in_virtual_machine();

/// What choosing pages takes of the kernel.
class PageMover {
  public:
    virtual ~PageMover() = default;
    /// The numbers of the pages from `first` on; 0: not told.
    virtual std::expected<void, std::string> frames(const uint8_t* first, std::span<uint64_t> to) = 0;
    /// Before the first move() to [to, to + bytes), and after the last one.
    virtual std::expected<void, std::string> begin(uint8_t* to, size_t bytes) = 0;
    virtual void end(uint8_t* to, size_t bytes) = 0;
    /// The pages at `from` are those at `to` from now on, in the place of what was there. After an error nothing may be at `to`, and the
    /// thread that touches it before end() would wait for ever.
    virtual std::expected<void, std::string> move(uint8_t* to, uint8_t* from, size_t bytes) = 0;
};

/// Puts pages of these colours behind [to, to + bytes), which is anonymous memory of this process's alone. Others that were looked
/// at on the way are kept until the end, so that the kernel gives other ones; of all of them at most `most` bytes. An error is one
/// line, without a name in front; then some of the pages are there.
std::expected<void, std::string> colour_memory(uint8_t* to, size_t bytes, const PageColours& colours,
                                               PageMover& mover, size_t most);
/// The same for memory that has content, which stays; pages that have these colours already stay, too. Nobody else writes there meanwhile, and no
/// device has the pages' own addresses.
std::expected<void, std::string> recolour_memory(uint8_t* to, size_t bytes, const PageColours& colours,
                                                 PageMover& mover, size_t most);

/// The files that choosing wants, opened before rights are given up, and the kernel's side of it.
class PageColourer {
  public:
    /// The error is one line, without a name in front.
    static std::expected<std::shared_ptr<PageColourer>, std::string> open(
        const PageColours& colours, const std::string& pagemap = "/proc/self/pagemap");
    ~PageColourer();
    PageColourer(const PageColourer&) = delete;
    PageColourer& operator=(const PageColourer&) = delete;

    /// As colour_memory(), without more memory than the host has to spare. From now on the kernel makes no large pages of it. Any thread.
    std::expected<void, std::string> colour(uint8_t* to, size_t bytes) const;
    /// As recolour_memory(), likewise; then these are the colours of what is coloured from now on. After an error memory has pages of both.
    std::expected<void, std::string> recolour(uint8_t* to, size_t bytes, const PageColours& colours);
    PageColours colours() const;
    /// By mappings, of which a process has a limited number, even where the kernel moves pages (Linux 6.8). For tests.
    void do_without_moves();

  private:
    PageColourer(const PageColours& colours, int pagemap, int meminfo);
    size_t spare() const;

    mutable std::mutex lock_;
    PageColours colours_;  // under lock_
    const int pagemap_, meminfo_;
    int faults_ = -1;  ///< userfaultfd, by which pages move; negative: this kernel has no such thing
};

/// Of this process, as where its threads run (host/cores.h): guest memory that it makes from now on has these colours. Before rights are given
/// up and before there are other threads. The error is that of PageColourer::open().
std::expected<void, std::string> choose_page_colours(const PageColours& colours);
/// Null: none were chosen. Any thread.
std::shared_ptr<PageColourer> page_colourer();

}  // namespace arclight::host
