#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "guestos/cli/commands.h"
#include "guestos/cli/version.h"
#include "guestos/qemu/front_end.h"
#include "guestos/run_session.h"
#include "host/crash_report.h"
#include "host/descriptors.h"
#include "host/failure.h"

namespace {
// The translator makes many small allocations on threads where a system call is expensive (backend/kvm). So all threads
// use one heap that grows and shrinks by many megabytes; per-thread heaps grow by one mprotect per page. The first part of it is in huge
// pages: a boot touches some 60 MiB (the kernel's file, descriptions of blocks), and each page of 4 KiB is a fault, with another of the
// host's host where that gives memory only when it is touched.
void set_up_heap() {
    constexpr size_t kFirstPart = 128 << 20, kHugePage = 2 << 20;
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, kFirstPart);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most there is
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    void* volatile grown =
        std::malloc(kHugePage);  // volatile: the compiler must not know that it is of no use
    std::free(grown);
    const auto end = reinterpret_cast<uintptr_t>(sbrk(0)) / kHugePage * kHugePage;
    if (end <= kFirstPart) return;
    // Of what is in use already the first page may become a huge one, too. Where the host has none, there is nothing to be done.
    madvise(reinterpret_cast<void*>(end - kFirstPart), kFirstPart, MADV_HUGEPAGE);
    mallopt(M_TOP_PAD, 8 << 20);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
}  // namespace

int main(int argc, char** argv) {
    using namespace arclight::guestos;
    arclight::host::open_standard_descriptors();
    arclight::host::handle_uncaught_exceptions();
    arclight::host::report_crashes(cli::kVersion, argc, argv);
    set_up_heap();
    try {
        const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
        return cli::finish_output(argc > 0 && qemu::is_qemu_name(argv[0])
                                      ? qemu::main_with(name_of(argv[0]), words, cli::kVersion, run_session)
                                      : cli::main_with(words, cli::kVersion, run_session));
    } catch (const std::bad_alloc&) {
        return cli::complain("out of memory");
    } catch (const std::exception& error) {  // out of file descriptors, out of threads
        return cli::complain(error.what());
    }
}
