// Sets of cores, and threads on them.
#include "host/cores.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "host/thread.h"

namespace arclight::host {
namespace {

TEST(CoreSet, ListsAreTheKernels) {
    const auto cores = CoreSet::parse("0-3,8,10-11");
    ASSERT_TRUE(cores);
    EXPECT_EQ(cores->count(), 7u);
    EXPECT_TRUE(cores->contains(3) && cores->contains(8) && cores->contains(11));
    EXPECT_FALSE(cores->contains(4) || cores->contains(9));
    EXPECT_EQ(cores->text(), "0-3,8,10-11");
    EXPECT_EQ(CoreSet().text(), "");
    for (const char* bad : {"", "a", "3-1", "1,", ",1", "1-", "-1", "0x1", "1024", "99999999999", "1 2"})
        EXPECT_FALSE(CoreSet::parse(bad)) << bad;
}

class Tree {
  public:
    Tree() {
        std::string name = testing::TempDir() + "coresXXXXXX";
        root = mkdtemp(name.data());
    }
    ~Tree() { std::filesystem::remove_all(root); }
    void file(const std::string& path, const std::string& line) const {
        std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
        std::ofstream(root + path) << line << '\n';
    }
    std::string root;
};

TEST(CoreSet, TheHighestLevelOfCacheCounts) {
    const Tree tree;
    const std::string caches = "/devices/system/cpu/cpu5/cache/index";
    tree.file(caches + "0/level", "1");
    tree.file(caches + "0/shared_cpu_list", "5");
    tree.file(caches + "1/level", "3");
    tree.file(caches + "1/shared_cpu_list", "4-7");
    tree.file(caches + "2/level", "2");
    tree.file(caches + "2/shared_cpu_list", "4-5");
    EXPECT_EQ(CoreSet::sharing_cache(5, tree.root).text(), "4-7");
    EXPECT_EQ(CoreSet::sharing_cache(6, tree.root).text(), "6") << "nothing is known of it";
}

TEST(Placement, ThreadsThatRunAndThreadsThatCome) {
    const CoreSet permitted = CoreSet::permitted();
    unsigned last = 0;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core)
        if (permitted.contains(core)) last = core;
    CoreSet one;
    one.add(last);
    std::atomic<int> phase{0};
    CoreSet before, after, of_new, of_device;
    std::thread running = start_thread("running", ThreadRole::Vcpu, [&] {
        before = CoreSet::permitted();
        phase = 1;
        phase.notify_all();
        phase.wait(1);
        after = CoreSet::permitted();
    });
    phase.wait(0);
    Placement placement;
    placement[static_cast<size_t>(ThreadGroup::Vcpus)] = one;
    EXPECT_TRUE(place_threads(placement));
    EXPECT_EQ(cores_of_vcpus(), 1u);
    phase = 2;
    phase.notify_all();
    running.join();
    start_thread("new", ThreadRole::KvmVcpu, [&] { of_new = CoreSet::permitted(); }).join();
    start_thread("device", ThreadRole::Device, [&] { of_device = CoreSet::permitted(); }).join();
    EXPECT_EQ(before, permitted);
    EXPECT_EQ(after, one);
    EXPECT_EQ(of_new, one);
    EXPECT_EQ(of_device, permitted) << "of a group that was not placed";

    CoreSet none;
    placement[static_cast<size_t>(ThreadGroup::Vcpus)] = none;
    std::thread stays = start_thread("stays", ThreadRole::Vcpu, [&] {
        phase = 3;
        phase.notify_all();
        phase.wait(3);
    });
    phase.wait(2);
    EXPECT_FALSE(place_threads(placement)) << "no thread can run on no core";
    phase = 4;
    phase.notify_all();
    stays.join();
    placement[static_cast<size_t>(ThreadGroup::Vcpus)] = permitted;
    EXPECT_TRUE(place_threads(placement));
}

// The scheduler may move a thread at any time, but hardly between two lines.
TEST(Cores, AThreadGoesToACoreOutside) {
    std::thread([] {
        const CoreSet permitted = CoreSet::permitted();
        EXPECT_FALSE(go_to_core_outside(permitted)) << "there is no other";
        unsigned tries = 0, there = 0;
        for (unsigned core = 0; core < CPU_SETSIZE && tries < 32; core = (core + 1) % CPU_SETSIZE) {
            if (!permitted.contains(core)) continue;
            CoreSet taken;
            for (unsigned other = 0; other < CPU_SETSIZE; ++other)
                if (other != core) taken.add(other);
            ++tries;
            ASSERT_TRUE(go_to_core_outside(taken));
            there += sched_getcpu() == static_cast<int>(core);
            ASSERT_EQ(CoreSet::permitted(), permitted);
        }
        EXPECT_GT(there, 16u);
    }).join();
}

}  // namespace
}  // namespace arclight::host
