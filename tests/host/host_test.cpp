// Ends of a process, and memory that goes away. What must end the process runs in a child (gtest's death tests).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <new>

#include "host/crash_report.h"
#include "host/descriptors.h"
#include "host/failure.h"
#include "host/memory_fault.h"
#include "host/thread.h"

namespace arclight::host {
namespace {

void report() {
    static char name[] = "host_test";
    static char* argv[] = {name};
    report_crashes("test", 1, argv);
}

TEST(Descriptors, EachThatIsClosedIsOpenedAgain) {
    for (int closed = 0; closed < 8; ++closed)
        EXPECT_EXIT(
            {
                for (int fd = 0; fd < 3; ++fd)
                    if ((closed >> fd & 1) != 0) close(fd);
                open_standard_descriptors();
                bool open = true;
                for (int fd = 0; fd < 3; ++fd) open = open && fcntl(fd, F_GETFD) >= 0;
                _exit(open && dup(0) > 2 ? 0 : 1);
            },
            testing::ExitedWithCode(0), "");
}

[[gnu::noinline]] void out_of_memory() { throw std::bad_alloc(); }

TEST(Thread, AnExceptionEndsTheProcessWithOneLine) {
    EXPECT_EXIT(start_thread("worker", ThreadRole::Device, [] { throw std::bad_alloc(); }).join(),
                testing::ExitedWithCode(1), "^arclight: out of memory \\(thread 'worker'\\)\n$");
    EXPECT_EXIT(
        {
            handle_uncaught_exceptions();
            []() noexcept { out_of_memory(); }();
        },
        testing::ExitedWithCode(1), "arclight: out of memory");
}

int overflow(int depth) {  // NOLINT(misc-no-recursion): that is what it is for
    volatile char frame[4096];
    frame[0] = static_cast<char>(depth);
    return depth < 0 ? 0 : overflow(depth + 1) + frame[0];
}

TEST(Crash, OfAThreadIsReportedAndKillsByItsSignal) {
    EXPECT_EXIT(
        {
            report();
            start_thread("crasher", ThreadRole::Device, [] {
                *static_cast<volatile int*>(nullptr) = 1;
            }).join();
        },
        testing::KilledBySignal(SIGSEGV), "fault of Arclight(.|\n)*SIGSEGV(.|\n)*'crasher'(.|\n)*#0");
    EXPECT_EXIT(
        {
            report();
            start_thread("deep", ThreadRole::Device, [] { overflow(0); }).join();
        },
        testing::KilledBySignal(SIGSEGV), "'deep'");
    EXPECT_EXIT((report(), std::abort()), testing::KilledBySignal(SIGABRT), "SIGABRT");
}

TEST(LostMemory, OfATruncatedFileIsAnErrorOfTheAccess) {
    report();
    const int file = memfd_create("file", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(file, 8192), 0);
    auto* p = static_cast<volatile char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    const FallibleMemory memory(const_cast<char*>(p), 8192, "a file", FallibleMemory::Kind::File);
    char value = 0;
    EXPECT_TRUE(touch([&] { p[0] = 7; }));
    ASSERT_EQ(ftruncate(file, 4096), 0);
    EXPECT_TRUE(touch([&] { value = p[0]; }));
    EXPECT_EQ(value, 7);
    EXPECT_FALSE(touch([&] { value = p[4096]; }));
    EXPECT_FALSE(touch([&] { p[5000] = 1; }));
    const auto lendings = pages_lent();
    ASSERT_TRUE(lendings);
    value = p[4096];  // outside of touch(): the page is lent
    EXPECT_EQ(value, 0);
    EXPECT_FALSE(pages_lent());
    lose_page(const_cast<char*>(p) + 4096);
    EXPECT_EQ(pages_lent(), *lendings + 1);
    EXPECT_FALSE(touch([&] { value = p[4096]; }));
    ASSERT_TRUE(lend_lost_pages());
    EXPECT_TRUE(touch([&] { value = p[4096]; }));
    EXPECT_FALSE(pages_lent());
    lose_lent_pages();
    EXPECT_EQ(pages_lent(), *lendings + 2);
    EXPECT_FALSE(touch([&] { value = p[4096]; }));
    munmap(const_cast<char*>(p), 8192);
    close(file);
}

}  // namespace
}  // namespace arclight::host
