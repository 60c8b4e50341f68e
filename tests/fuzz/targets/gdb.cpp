// A debugger's connection: whatever bytes come, what goes out are frames, and nothing is asked of a machine that runs.
#include <optional>

#include "guestos/gdb/session.h"
#include "tests/fuzz/driver/target.h"
#include "tests/guestos/gdb/fake_target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos::gdb;

/// What is sent is acknowledgements and packets.
class Reader {
  public:
    void read(std::string_view bytes) {
        for (const char c : bytes) {
            const bool between = depth_ == 0;
            switch (parser_.feed(static_cast<uint8_t>(c))) {
                case PacketParser::Item::None:
                    require(!between || c == '$', "between frames there is nothing");
                    ++depth_;
                    break;
                case PacketParser::Item::Packet: depth_ = 0; break;
                case PacketParser::Item::Ack:
                case PacketParser::Item::Nack: break;
                default: require(false, "a frame is whole");
            }
        }
    }

  private:
    PacketParser parser_;
    size_t depth_ = 0;
};

void run(std::span<const uint8_t> bytes) {
    FakeTarget target;
    Reader reader;
    const Monitor monitor = [](unsigned, std::string_view command) { return std::string(command); };
    Session session(
        &target, [&](std::string_view sent) { reader.read(sent); }, monitor);
    // The first byte says how the rest arrives, and when the machine has something to tell.
    const size_t piece = bytes.empty() ? 1 : bytes[0] % 64 + 1;
    while (!bytes.empty()) {
        const auto now = bytes.first(std::min(piece, bytes.size()));
        bytes = bytes.subspan(now.size());
        session.feed(now);
        if (!target.is_stopped && now[0] % 4 == 0) {
            target.events.push_back({.cpu = now[0] % FakeTarget::kCpus,
                                     .why = static_cast<DebugTarget::Event::Why>(now[0] / 4 % 3)});
            session.look_at_events();
        }
        require(!session.holds_machine() || target.is_stopped || target.gone,
                "who holds the machine has stopped it");
    }
    session.disconnect();
    require(target.gone || target.points.empty(), "points go with the debugger");
}

const Registered registered({.name = "gdb",
                             .run = run,
                             .max_size = 2048,
                             .words = {"$?#3f", "$g#67", "$D#44", "$m1000,4#8e", "$Hg1#e0", "$vCont;c#a8",
                                       "$vCont;s:1;c#c1", "$Z0,1000,4#b0", "$Z2,1000,8#b6", "$qSupported#",
                                       "$qRcmd,68656c70#", "\x03", "+", "-", "}", "$QStartNoAckMode#b0"}});

}  // namespace
}  // namespace arclight::fuzz
