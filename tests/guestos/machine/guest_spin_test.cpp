// How long a guest has waited in a loop, whatever the host does in between.
#include "guestos/machine/cpu/guest_spin.h"

#include <gtest/gtest.h>

namespace arclight::guestos {
namespace {
using namespace std::chrono_literals;

struct Turns {
    /// So many turns of a loop, this far apart.
    std::chrono::nanoseconds take(unsigned n, std::chrono::nanoseconds apart) {
        std::chrono::nanoseconds waited{};
        while (n-- != 0) waited = spin.waited(now += apart);
        return waited;
    }
    GuestSpin spin;
    std::chrono::steady_clock::time_point now{1h};
};

TEST(GuestSpin, WaitsFromItsFirstTurn) {
    Turns t;
    EXPECT_EQ(t.take(1, 1us), 0us);
    EXPECT_EQ(t.take(1000, 1us), 1000us);
}

TEST(GuestSpin, HasNotWaitedWhileItDoesOtherWork) {
    Turns t;
    for (unsigned lock = 0; lock < 1000; ++lock) {
        t.take(1, 20us);  // what it does with the lock
        EXPECT_LE(t.take(3, 1us), 5us);
    }
}

TEST(GuestSpin, InterruptsOfTheHostAreNoOtherWork) {
    Turns t;
    std::chrono::nanoseconds waited{};
    for (unsigned tick = 0; tick < 3; ++tick) {
        t.take(1, 15us);
        waited = t.take(985, 1us);
    }
    EXPECT_GT(waited, GuestSpin::kLong);
    EXPECT_LT(waited, 3000us);
}

TEST(GuestSpin, AnotherThreadsTurnOnTheCoreIsOtherWork) {
    Turns t;
    t.take(2000, 1us);
    EXPECT_EQ(t.take(1, 4ms), 0us);
}

}  // namespace
}  // namespace arclight::guestos
