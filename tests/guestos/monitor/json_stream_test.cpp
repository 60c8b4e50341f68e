#include "guestos/monitor/json_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace arclight::guestos {
namespace {

/// What comes of the text, fed in pieces of so many bytes: values as text, errors after "! ".
std::vector<std::string> parse(std::string_view text, size_t piece = 1) {
    JsonStream stream;
    std::vector<std::string> all;
    for (size_t at = 0; at < text.size(); at += piece) {
        const std::string_view part = text.substr(at, piece);
        stream.feed({reinterpret_cast<const uint8_t*>(part.data()), part.size()},
                    [&](std::expected<Json, std::string> value) {
                        all.push_back(value ? qmp_text(*value, false) : "! " + value.error());
                    });
    }
    return all;
}

using Texts = std::vector<std::string>;

TEST(JsonStream, ValuesNeedNoLinesBetweenThem) {
    for (const size_t piece : {1, 3, 1000}) {
        EXPECT_EQ(parse(R"({"a":1}{"b" : [1, 2]} [] "x" 7 )", piece),
                  (Texts{R"({"a": 1})", R"({"b": [1, 2]})", "[]", R"("x")", "7"}));
        EXPECT_EQ(parse("{\n'single': 'it\\'s \"q\"'\r\n}", piece), (Texts{R"({"single": "it's \"q\""})"}));
        EXPECT_EQ(parse(R"({"a": "}{[\"\\"})", piece), (Texts{R"({"a": "}{[\"\\"})"}));
    }
}

TEST(JsonStream, ItIsInStepAgainAfterGarbage) {
    EXPECT_EQ(parse("garbage\n{}"), (Texts{"! JSON parse error, invalid keyword 'garbage'", "{}"}));
    EXPECT_EQ(parse("{\"a\n{}").back(), "{}");
    EXPECT_EQ(parse("\xff{}"), (Texts{"! JSON parse error, stray '\uFFFD'", "{}"}));
    EXPECT_EQ(parse("{\"half\xff{}").back(), "{}");
    EXPECT_EQ(parse("}{}"), (Texts{"! JSON parse error, expecting value", "{}"}));
    EXPECT_EQ(parse("{]{}").back(), "{}");
    EXPECT_EQ(parse("{\"a\": \xc3}{}").back(), "{}");
}

TEST(JsonStream, DepthAndSizeHaveLimits) {
    const auto deep = parse(std::string(1000, '[') + std::string(1000, ']') + "{}");
    EXPECT_EQ(deep.front(), "! JSON nesting depth limit exceeded");
    EXPECT_EQ(deep.back(), "{}");
    const auto large = parse("\"" + std::string(JsonStream::kMaxBytes + 10, 'x') + "\"\n{}", 4096);
    EXPECT_EQ(large.front(), "! JSON token size limit exceeded");
    EXPECT_EQ(large.back(), "{}");
}

TEST(JsonStream, AnyBytesAreSurvived) {
    std::mt19937 random(3);
    constexpr std::string_view kAlphabet = "{}[]\"'\\:, \n\xff\x01 aetrunlfs0123.-+eE";
    for (int round = 0; round < 3000; ++round) {
        std::string text;
        for (unsigned i = random() % 60; i != 0; --i) text += kAlphabet[random() % kAlphabet.size()];
        parse(text);
        // Whatever came before, an error byte and a line's end bring it back in step.
        EXPECT_EQ(parse(text + "\xff\n{\"in\": \"step\"}").back(), R"({"in": "step"})") << text;
    }
}

}  // namespace
}  // namespace arclight::guestos
