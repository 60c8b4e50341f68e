// QMP and the human monitor behind it: whatever a client sends, each answer is JSON, and the next client is served.
#include "guestos/monitor/qmp.h"

#include <mutex>

#include "guestos/monitor/hmp.h"
#include "guestos/monitor/line_editor.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"
#include "tests/guestos/monitor/fake_target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const bool human = in.flag(), negotiated = in.flag();
    guestos::test::FakeTarget target;
    Hmp hmp(target);
    if (human) {
        std::string screen;
        LineEditor editor([&](const std::string& text) { screen += text; });
        editor.prompt();
        for (const uint8_t byte : in.rest()) {
            if (!editor.type(byte)) continue;
            const std::string answer = hmp.execute(editor.line());
            require(answer.empty() || answer.ends_with("\r\n"), "answers are lines");
            editor.prompt();
        }
        return;
    }
    std::mutex commands;
    QmpSession session(target, [&](const std::string& line) { return hmp.execute(line); });
    const auto feed = [&](std::string_view text) {
        std::vector<Json> replies;
        session.feed(
            {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
            [&](const Json& reply) {
                const std::string written = qmp_text(reply, false);
                require(written.find('\n') == std::string::npos, "an answer is one line");
                const Json again = Json::parse(written, nullptr, false);
                require(again.is_object() && again.contains("return") != again.contains("error"),
                        "an answer is a result or an error");
                replies.push_back(reply);
            },
            commands);
        return replies;
    };
    if (negotiated) feed(R"({"execute":"qmp_capabilities"})");
    const auto rest = in.rest();
    feed({reinterpret_cast<const char*>(rest.data()), rest.size()});
    feed("\xff\n");
    const auto last = feed(R"({"execute":"query-status","id":"last"})");
    require(last.size() == 1 && last[0]["id"] == "last", "it is in step again");
    session.reset();
    require(feed(R"({"execute":"qmp_capabilities"})").at(0).contains("return"), "the next client is served");
}

const Registered registered({.name = "qmp",
                             .run = run,
                             .max_size = 2048,
                             .words = {"\"execute\"", "\"arguments\"", "\"id\"", "query-status",
                                       "human-monitor-command", "command-line", "query-block", "ringbuf-read",
                                       "info ", "x/", "xp/4xw ", "$pc", "0x1000", "qmp_capabilities",
                                       "enable"}});

}  // namespace
}  // namespace arclight::fuzz
