#include "guestos/monitor/qmp.h"

#include <gtest/gtest.h>

#include "guestos/monitor/hmp.h"
#include "guestos/monitor/qmp_commands.h"
#include "tests/guestos/monitor/fake_target.h"

namespace arclight::guestos {
namespace {

struct QmpTest : testing::Test {
    std::string ask(std::string_view text) {
        std::string all;
        session.feed(
            {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
            [&](const Json& reply) { all += qmp_text(reply, false); }, lock);
        return all;
    }
    void negotiate() { EXPECT_EQ(ask(R"({"execute": "qmp_capabilities"})"), R"({"return": {}})"); }
    static std::string error(const std::string& kind, const std::string& text) {
        return R"({"error": {"class": ")" + kind + R"(", "desc": ")" + text + "\"}}";
    }
    test::FakeTarget target;
    std::mutex lock;
    Hmp hmp{target};
    QmpSession session{target, [this](const std::string& line) { return hmp.execute(line); }};
};

TEST_F(QmpTest, GreetsWithAVersion) {
    const Json greeting = session.greeting();
    EXPECT_EQ(greeting["QMP"]["version"]["qemu"]["major"], 7);
    EXPECT_EQ(greeting["QMP"]["version"]["package"], "Arclight 0.1.0");
    EXPECT_TRUE(greeting["QMP"]["capabilities"].is_array());
}

// Answers of QEMU 7.2 to the same lines.
TEST_F(QmpTest, WhatIsWrongHasQemusWords) {
    EXPECT_EQ(ask(R"({"execute":"query-status"})"),
              error("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'"));
    EXPECT_EQ(ask(R"({"execute":"qmp_capabilities","arguments":{"enable":["oob"]}})"),
              error("GenericError", "Capability 'oob' not available"));
    negotiate();
    EXPECT_EQ(ask(R"({"execute":"qmp_capabilities"})"),
              error("CommandNotFound", "Capabilities negotiation is already complete, command ignored"));
    EXPECT_EQ(ask(R"({"execute":"nosuch"})"),
              error("CommandNotFound", "The command nosuch has not been found"));
    EXPECT_EQ(ask(R"({"execute":5})"), error("GenericError", "QMP input member 'execute' must be a string"));
    EXPECT_EQ(ask("[]"), error("GenericError", "QMP input must be a JSON object"));
    EXPECT_EQ(ask(R"({"execute":"query-status","foo":1})"),
              error("GenericError", "QMP input member 'foo' is unexpected"));
    EXPECT_EQ(ask(R"({"execute":"query-status","arguments":{"x":1}})"),
              error("GenericError", "Parameter 'x' is unexpected"));
    EXPECT_EQ(ask(R"({"execute":"query-status","arguments":5})"),
              error("GenericError", "QMP input member 'arguments' must be an object"));
    EXPECT_EQ(ask(R"({"exec-oob":"query-status"})"),
              error("GenericError", "QMP input member 'exec-oob' is unexpected"));
    EXPECT_EQ(ask("{}"), error("GenericError", "QMP input lacks member 'execute'"));
    EXPECT_EQ(ask(R"({"execute":"human-monitor-command"})"),
              error("GenericError", "Parameter 'command-line' is missing"));
    EXPECT_EQ(ask(R"({"execute":"human-monitor-command","arguments":{"command-line":5}})"),
              error("GenericError", "Invalid parameter type for 'command-line', expected: string"));
}

TEST_F(QmpTest, AnIdComesBackWhateverItIs) {
    negotiate();
    EXPECT_EQ(ask(R"({"execute":"stop","id":{"a":[1,"x"]}})"), R"({"id": {"a": [1, "x"]}, "return": {}})");
    const Json wrong = Json::parse(ask(R"({"execute":"nosuch","id":7})"));
    EXPECT_EQ(wrong["id"], 7);
    EXPECT_TRUE(wrong.contains("error"));
}

TEST_F(QmpTest, ControlsTheMachine) {
    negotiate();
    EXPECT_EQ(ask(R"({"execute":"stop"})"), R"({"return": {}})");
    EXPECT_EQ(ask(R"({"execute":"query-status"})"),
              R"({"return": {"running": false, "singlestep": false, "status": "paused"}})");
    ask(R"({"execute":"cont"}{"execute":"system_reset"}{"execute":"system_powerdown"}{"execute":"quit"})");
    EXPECT_EQ(target.state, RunState::Running);
    EXPECT_EQ(target.asked, "reset;powerdown;quit;");
    target.state = RunState::IoError;
    EXPECT_EQ(Json::parse(ask(R"({"execute":"query-status"})"))["return"]["status"], "io-error");
}

TEST_F(QmpTest, Queries) {
    negotiate();
    const auto answer = [&](const char* name) {
        return Json::parse(ask(std::string(R"({"execute":")") + name + "\"}"))["return"];
    };
    EXPECT_EQ(answer("query-cpus-fast")[1]["thread-id"], 78);
    EXPECT_EQ(answer("query-block")[0]["inserted"]["image"]["virtual-size"], 512);
    EXPECT_EQ(answer("query-name"), Json::object());
    target.machine_name = "box";
    EXPECT_EQ(answer("query-name")["name"], "box");
    EXPECT_EQ(answer("query-uuid")["UUID"], "00000000-0000-0000-0000-000000000000");
    EXPECT_EQ(answer("query-chardev")[0]["label"], "serial0");
    EXPECT_EQ(answer("query-version")["qemu"]["minor"], 2);
    // All that are listed are there, and answer without arguments or say what is missing.
    const Json commands = answer("query-commands");
    EXPECT_GT(commands.size(), 15u);
    for (const Json& command : commands) {
        const Json reply = Json::parse(ask(Json{{"execute", command["name"]}}.dump()));
        if (reply.contains("error") && command["name"] != "qmp_capabilities") {
            const std::string kind = command["name"] == "query-balloon" ? "DeviceNotActive" : "GenericError";
            EXPECT_EQ(reply["error"]["class"], kind) << command;
        }
    }
}

TEST_F(QmpTest, BalloonAndWatchdog) {
    negotiate();
    const std::string none = error("DeviceNotActive", "No balloon device has been activated");
    EXPECT_EQ(ask(R"({"execute":"query-balloon"})"), none);
    EXPECT_EQ(ask(R"({"execute":"balloon","arguments":{"value":0}})"), none);
    target.balloon_state =
        MonitorTarget::Balloon{.guest_bytes = 4096, .statistics = {{"stat-free-memory", 9}}};
    EXPECT_EQ(ask(R"({"execute":"query-balloon"})"), R"({"return": {"actual": 4096}})");
    EXPECT_EQ(ask(R"({"execute":"balloon","arguments":{"value":0}})"),
              error("GenericError", "Parameter 'target' expects a size"));
    EXPECT_EQ(ask(R"({"execute":"balloon","arguments":{"value":8192}})"), R"({"return": {}})");
    EXPECT_EQ(target.asked, "balloon 8192;");
    const auto get = [&](const std::string& path, const std::string& property) {
        return ask(
            Json{{"execute", "qom-get"}, {"arguments", {{"path", path}, {"property", property}}}}.dump());
    };
    EXPECT_EQ(Json::parse(get("/machine/peripheral/b", "guest-stats"))["return"],
              (Json{{"stats", {{"stat-free-memory", 9}}}, {"last-update", 0}}));
    EXPECT_EQ(get("/machine/peripheral/c", "guest-stats"),
              error("DeviceNotFound", "Device '/machine/peripheral/c' not found"));
    EXPECT_NE(get("/machine/peripheral/b", "nosuch").find("not found"), std::string::npos);
    const auto set = [&](const Json& value) {
        return ask(Json{{"execute", "qom-set"},
                        {"arguments",
                         {{"path", "/machine/peripheral/b"},
                          {"property", "guest-stats-polling-interval"},
                          {"value", value}}}}
                       .dump());
    };
    EXPECT_EQ(set(2), R"({"return": {}})");
    EXPECT_EQ(get("/machine/peripheral/b", "guest-stats-polling-interval"), R"({"return": 2})");
    for (const Json& wrong : {Json("x"), Json(-1), Json(1'000'000'000)})
        EXPECT_NE(set(wrong).find("error"), std::string::npos) << wrong;

    EXPECT_EQ(ask(R"({"execute":"watchdog-set-action","arguments":{"action":"none"}})"), R"({"return": {}})");
    EXPECT_EQ(target.watchdog, WatchdogAction::None);
    EXPECT_EQ(ask(R"({"execute":"watchdog-set-action","arguments":{"action":"bad"}})"),
              error("GenericError", "Parameter 'action' does not accept value 'bad'"));
}

TEST_F(QmpTest, SnapshotsAreJobs) {
    negotiate();
    const auto job = [&](const char* command, const char* id, const char* tag) {
        Json arguments{{"job-id", id}, {"tag", tag}, {"devices", Json::array({"x"})}};
        if (std::string_view(command) != "snapshot-delete") arguments["vmstate"] = "x";
        return ask(Json{{"execute", command}, {"arguments", arguments}}.dump());
    };
    const std::string good = R"({"return": {}})";
    EXPECT_EQ(job("snapshot-save", "1", "one"), good);
    EXPECT_EQ(target.saved.at(0).name, "one");
    EXPECT_EQ(job("snapshot-load", "1", "one"), error("GenericError", "Job ID '1' already in use"));
    EXPECT_EQ(job("snapshot-load", "2", "two"), good);
    const auto jobs = Json::parse(ask(R"({"execute":"query-jobs"})"))["return"];
    ASSERT_EQ(jobs.size(), 2u);
    EXPECT_EQ(jobs[0]["status"], "concluded");
    EXPECT_FALSE(jobs[0].contains("error"));
    EXPECT_EQ(jobs[1]["error"], "there is no 'two'");
    EXPECT_EQ(ask(R"({"execute":"job-dismiss","arguments":{"id":"1"}})"), good);
    EXPECT_EQ(ask(R"({"execute":"job-dismiss","arguments":{"id":"1"}})"),
              error("DeviceNotActive", "Job not found"));
    EXPECT_EQ(job("snapshot-delete", "1", "one"), good);
    EXPECT_TRUE(target.saved.empty());
    EXPECT_NE(ask(R"({"execute":"snapshot-save","arguments":{"tag":"x"}})").find("'job-id' is missing"),
              std::string::npos);
}

TEST_F(QmpTest, HumanCommandsAndRings) {
    negotiate();
    const auto human = [&](const std::string& line) {
        return Json::parse(
            ask(Json{{"execute", "human-monitor-command"}, {"arguments", {{"command-line", line}}}}
                    .dump()))["return"];
    };
    EXPECT_EQ(human("info status"), "VM status: running\r\n");
    EXPECT_EQ(
        Json::parse(ask(
            R"({"execute":"human-monitor-command","arguments":{"command-line":"info registers","cpu-index":1}})"))
            ["return"],
        "\r\nCPU#1\r\n PC=1\r\n");
    EXPECT_EQ(human("info registers"), "\r\nCPU#0\r\n PC=0\r\n");
    EXPECT_NE(
        ask(R"({"execute":"human-monitor-command","arguments":{"command-line":"info registers","cpu-index":2}})")
            .find("cpu-index"),
        std::string::npos);
    EXPECT_EQ(human("nosuch foo"), "unknown command: 'nosuch'\r\n");
    EXPECT_EQ(ask(R"({"execute":"ringbuf-read","arguments":{"device":"ring","size":2}})"),
              R"({"return": "rr"})");
    EXPECT_EQ(ask(R"({"execute":"ringbuf-read","arguments":{"device":"ring","size":2,"format":"base64"}})"),
              R"({"return": "cnI="})");
    EXPECT_NE(ask(R"({"execute":"ringbuf-read","arguments":{"device":"none","size":2}})").find("not found"),
              std::string::npos);
}

TEST_F(QmpTest, AnotherClientStartsAnew) {
    negotiate();
    ask(R"({"execute":"half)");
    session.reset();
    EXPECT_FALSE(session.negotiated());
    negotiate();
}

}  // namespace
}  // namespace arclight::guestos
