#include "devices/state.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

struct Inner {
    uint8_t a = 0;
    std::array<uint16_t, 3> b{};

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.a, self.b);
    }
    bool operator==(const Inner&) const = default;
};

struct Part final : Stateful {
    bool flag = false;
    uint32_t word = 0;
    uint64_t wide = 0;
    int64_t negative = 0;
    Inner inner;
    std::vector<uint8_t> blob;
    std::vector<Inner> list;
    unsigned quiesced = 0, resumed = 0;

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.flag, self.word, self.wide, self.negative, self.inner);
        archive.bytes(self.blob, 1000);
        archive.list(self.list, 10);
    }
    void quiesce() override { quiesced++; }
    void resume() override { resumed++; }
    void save(StateWriter& out) const override {
        out.section("part", 3, [&] { fields(out, *this); });
    }
    StateResult load(StateReader& in) override {
        return in.section("part", 3, [&] { fields(in, *this); });
    }
};

Part filled() {
    Part part;
    part.flag = true;
    part.word = 0x1234'5678;
    part.wide = ~0ull - 1;
    part.negative = -77;
    part.inner = {9, {1, 2, 0xffff}};
    part.blob = {1, 2, 3, 4, 5};
    part.list = {{1, {2, 3, 4}}, {5, {6, 7, 8}}};
    return part;
}

std::vector<uint8_t> saved(const Stateful& part) {
    StateWriter out;
    part.save(out);
    return out.finish().value();
}

std::string error_of(const std::vector<uint8_t>& stream, Stateful& part) {
    StateReader in(stream);
    if (const auto loaded = part.load(in); !loaded) return loaded.error();
    const auto finished = in.finish();
    return finished ? "" : finished.error();
}

TEST(State, ComesBackAsItWas) {
    const Part part = filled();
    Part other;
    ASSERT_EQ(error_of(saved(part), other), "");
    EXPECT_TRUE(other.flag);
    EXPECT_EQ(other.word, part.word);
    EXPECT_EQ(other.wide, part.wide);
    EXPECT_EQ(other.negative, -77);
    EXPECT_EQ(other.inner, part.inner);
    EXPECT_EQ(other.blob, part.blob);
    EXPECT_EQ(other.list, part.list);
}

TEST(State, IntegersAreLittleEndian) {
    StateWriter out;
    out(uint32_t{0x0102'0304});
    const auto stream = out.finish().value();
    ASSERT_EQ(stream.size(), 8u + 4 + 1 + 4 + 4);
    EXPECT_EQ(stream[13], 4);
    EXPECT_EQ(stream[16], 1);
}

TEST(State, TypesVersionsAndLengthsAreChecked) {
    const auto error = [](auto&& write, auto&& read) {
        StateWriter out;
        write(out);
        const auto stream = out.finish().value();
        StateReader in(stream);
        read(in);
        const auto finished = in.finish();
        return finished ? std::string() : finished.error();
    };
    uint32_t word = 0;
    uint64_t wide = 0;
    std::vector<uint8_t> blob;
    std::array<uint8_t, 4> four{};
    EXPECT_EQ(error([](auto& out) { out(uint32_t{1}); }, [&](auto& in) { in(wide); }),
              "a value has another type");
    EXPECT_EQ(error([](auto& out) { out(uint32_t{1}); }, [&](auto&) {}),
              "there is more than there should be");
    EXPECT_EQ(error([](auto&) {}, [&](auto& in) { in(word); }), "a value is missing");
    EXPECT_EQ(error([](auto& out) { out(std::array<uint8_t, 3>{}); }, [&](auto& in) { in(four); }),
              "an array has another length");
    EXPECT_EQ(
        error([](auto& out) { out.bytes(std::vector<uint8_t>(9)); }, [&](auto& in) { in.bytes(blob, 8); }),
        "a run of bytes is too long");
    const auto section = [](const char* name, uint32_t version) {
        return [=](auto& out) { out.section(name, version, [&] { out(uint32_t{5}); }); };
    };
    const auto read_section = [&](auto& in) { (void)in.section("timer", 2, [&] { in(word); }); };
    EXPECT_EQ(error(section("timer", 2), read_section), "");
    EXPECT_EQ(error(section("timer", 1), read_section), "");
    EXPECT_EQ(error(section("timer", 3), read_section), "section 'timer' has version 3, newer than 2");
    EXPECT_EQ(error(section("uart", 1), read_section), "section 'uart' in place of 'timer'");
    EXPECT_EQ(error(section("a\nb\x80z", 1), read_section), "section 'a?b?z' in place of 'timer'")
        << "an error is one line, whatever the stream names";
    EXPECT_EQ(error([](auto&) {}, read_section), "section 'timer' is missing");
    EXPECT_EQ(error(section("timer", 1), [&](auto& in) { (void)in.section("timer", 1, [] {}); }),
              "section 'timer' has more than it should");
}

// A newer reader knows what an older stream has not.
TEST(State, VersionTellsWhatIsThere) {
    StateWriter out;
    out.section("timer", 1, [&] { out(uint32_t{5}); });
    const auto stream = out.finish().value();
    StateReader in(stream);
    uint32_t old_field = 0, new_field = 7;
    EXPECT_TRUE(in.section("timer", 2, [&] {
                      in(old_field);
                      if (in.version() >= 2) in(new_field);
                  }).has_value());
    EXPECT_EQ(old_field, 5u);
    EXPECT_EQ(new_field, 7u);
}

TEST(State, EveryFlippedBitIsNoticed) {
    const auto stream = saved(filled());
    for (size_t i = 0; i < stream.size() * 8; i++) {
        auto damaged = stream;
        damaged[i / 8] ^= static_cast<uint8_t>(1 << i % 8);
        Part part;
        EXPECT_NE(error_of(damaged, part), "") << i;
    }
    for (size_t i = 0; i < stream.size(); i++) {
        Part part;
        EXPECT_NE(error_of({stream.begin(), stream.begin() + static_cast<ptrdiff_t>(i)}, part), "") << i;
    }
}

// Damage behind a checksum that matches: an error or some other state, but nothing is read outside.
TEST(State, DamageBehindTheChecksumIsSurvived) {
    std::mt19937_64 random(1);
    const auto stream = saved(filled());
    unsigned refused = 0;
    for (int round = 0; round < 20'000; round++) {
        Part part;
        refused += error_of(test::damage(stream, random), part) != "" ? 1 : 0;
        EXPECT_LE(part.blob.size(), 1000u);
        EXPECT_LE(part.list.size(), 10u);
    }
    EXPECT_GT(refused, 5'000u);
}

TEST(State, PartsAreNamedAndInOrder) {
    Part a = filled(), b, c, d;
    StatefulParts parts, same, other;
    parts.add("a", a), parts.add("b", b);
    same.add("a", c), same.add("b", d);
    other.add("a", c), other.add("x", d);
    parts.quiesce();
    EXPECT_EQ(a.quiesced, 1u);
    const auto stream = parts.save().value();
    parts.resume();
    EXPECT_EQ(b.resumed, 1u);
    ASSERT_TRUE(same.load(stream).has_value());
    EXPECT_EQ(c.word, a.word);
    EXPECT_EQ(other.load(stream).error(), "saved state, x: section 'b' in place of 'x'");
    auto short_one = stream;
    short_one.pop_back();
    EXPECT_EQ(same.load(short_one).error(), "saved state, a: the checksum does not match");
}

}  // namespace
}  // namespace arclight::devices
