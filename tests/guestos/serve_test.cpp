// What is said of virtual interfaces, and the management by lines of JSON.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "devices/svio/network.h"
#include "guestos/serve/service.h"

namespace arclight::guestos::serve {
namespace {

using devices::svio::DeviceThread, devices::svio::Network;
using Json = mmu::lightv::Json;

Result<InterfaceWords> parse(const std::string& text) {
    const auto words = split_words(text);
    if (!words) return std::unexpected(words.error());
    return parse_interface(*words);
}

TEST(InterfaceWords, SayWhatAnInterfaceIs) {
    const auto all = parse("name=a.1,socket=/tmp/x,,y,weight=1000,rate=10M,burst=4K,mac=52:54:00:00:00:01");
    ASSERT_TRUE(all) << all.error();
    EXPECT_EQ(all->options.name, "a.1");
    EXPECT_EQ(all->socket, "/tmp/x,y");
    EXPECT_EQ(all->options.weight, 1000u);
    EXPECT_EQ(all->options.rate, 10u << 20);
    EXPECT_EQ(all->options.burst, 4096u);
    EXPECT_EQ(all->options.port.mac, (devices::virtio::MacAddress{0x52, 0x54, 0, 0, 0, 1}));
    const auto part = parse("name=a,socket=s,offset=1M,size=64K,readonly=on");
    ASSERT_TRUE(part);
    EXPECT_EQ(part->options.port.offset, 1u << 20);
    EXPECT_EQ(part->options.port.size, 1u << 16);
    EXPECT_TRUE(part->options.port.readonly);
    EXPECT_EQ(part->options.weight, 1u);
    EXPECT_FALSE(part->options.port.mac);
}

TEST(InterfaceWords, ThatAreWrongAreSaid) {
    for (const auto& [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
             {"a", "'a' is no KEY=VALUE"},
             {"name=a,name=b", "name is given twice"},
             {"socket=s", "name is missing"},
             {"name=a", "socket is missing"},
             {"name=,socket=s", "name: '' is not up to 32 letters, digits, '-', '_' and '.'"},
             {"name=a,socket=s,weight=1001", "weight: '1001' is no number from 1 to 1000"},
             {"name=a,socket=s,rate=2T", "rate: '2T' is no number from 0 to 1099511627776"},
             {"name=a,socket=s,readonly=yes", "readonly: 'yes' is neither on nor off"},
             {"name=a,socket=s,x=1", "'x' is not known"}}) {
        const auto parsed = parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error(), why);
    }
}

TEST(InterfaceWords, ChangeWhatTheyName) {
    const devices::svio::InterfaceOptions now{.name = "a", .weight = 3, .rate = 1000, .burst = 77};
    const auto weight = parse_change({{"name", "a"}, {"weight", "5"}}, now);
    ASSERT_TRUE(weight);
    EXPECT_EQ(weight->weight, 5u);
    EXPECT_EQ(weight->rate, 1000u);
    EXPECT_EQ(weight->burst, 77u);
    const auto rate = parse_change({{"name", "a"}, {"rate", "2K"}}, now);
    ASSERT_TRUE(rate);
    EXPECT_EQ(rate->rate, 2048u);
    EXPECT_EQ(rate->burst, 0u);  // of that rate
    EXPECT_EQ(parse_change({{"name", "a"}, {"socket", "s"}}, now).error(), "'socket' is not known");
}

TEST(Service, AnswersLines) {
    auto device = DeviceThread::start(std::make_unique<Network>(Network::Mode::Switch), {});
    ASSERT_TRUE(device);
    const std::string path = testing::TempDir() + "serve_test.sock";
    struct stat about {};
    {
        Service service(std::move(*device));
        const auto ask = [&](const Json& request) { return Json::parse(service.answer(request.dump())); };
        const auto refused = [&](const Json& request) { return ask(request).value("error", ""); };
        EXPECT_EQ(refused("x"), "not a JSON object");
        EXPECT_EQ(refused({{"do", 1}}), "'' is nothing to do; there are list, add, change, remove");
        EXPECT_EQ(refused({{"do", "add"}, {"name", Json::array()}}), "name: neither a text nor a number");
        EXPECT_EQ(refused({{"do", "remove"}, {"name", "a"}}), "there is no interface 'a'");
        EXPECT_FALSE(Json::parse(service.answer("{"))["ok"]);
        ASSERT_TRUE(
            ask({{"do", "add"}, {"name", "a"}, {"socket", path}, {"weight", 7}, {"rate", "1M"}})["ok"]);
        EXPECT_EQ(lstat(path.c_str(), &about), 0);
        EXPECT_EQ(about.st_mode, S_IFSOCK | 0600);
        ASSERT_TRUE(ask({{"do", "change"}, {"name", "a"}, {"weight", 8}})["ok"]);
        const Json listed = ask({{"do", "list"}})["result"]["interfaces"][0];
        EXPECT_EQ(listed["weight"], 8);
        EXPECT_EQ(listed["rate"], 1 << 20);
        EXPECT_EQ(listed["burst"], (1 << 20) / 50);
        EXPECT_EQ(listed["connected"], false);
        ASSERT_TRUE(ask({{"do", "remove"}, {"name", "a"}})["ok"]);
        EXPECT_NE(lstat(path.c_str(), &about), 0);
        ASSERT_TRUE(ask({{"do", "add"}, {"name", "a"}, {"socket", path}})["ok"]);
    }
    // Sockets end with the service.
    EXPECT_NE(lstat(path.c_str(), &about), 0);
}

}  // namespace
}  // namespace arclight::guestos::serve
