#include "guestos/profile_marks.h"

#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <utility>

namespace arclight::guestos {

namespace {
using Json = nlohmann::ordered_json;
constexpr size_t kLongest = 256;
constexpr std::string_view kStart = "@@START ", kEnd = "@@END ";

/// What has been counted since. Counters that are in one of both alone count from nothing.
Json difference(const Json& before, const Json& after) {
    Json out = Json::object();
    for (const auto& [name, value] : after.items()) {
        const auto earlier = before.find(name);
        if (value.is_object())
            out[name] = difference(earlier == before.end() ? Json::object() : *earlier, value);
        else
            out[name] = value.get<uint64_t>() - (earlier == before.end() ? 0 : earlier->get<uint64_t>());
    }
    return out;
}

Json describe(const ProfileMarks::Sample& before, const ProfileMarks::Sample& after) {
    const jit::HostProfile::Totals host = after.host - before.host;
    const auto by_class = [](const auto& counts) {
        Json classes;
        for (size_t k = 0; k < jit::kHostClasses; ++k)
            classes[jit::name_of(static_cast<jit::HostClass>(k))] = counts[k];
        return classes;
    };
    // Of x0 to x30 and sp in GuestState, by blocks and by what they share.
    const auto sum = [](const auto& counts) {
        return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
    };
    const Json registers{{"loads", sum(host.loads)},
                         {"stores", sum(host.stores)},
                         {"vector_reads", host.vector_reads},
                         {"vector_writes", host.vector_writes},
                         {"shared", host.shared},
                         {"by_register", {{"loads", host.loads}, {"stores", host.stores}}}};
    const jit::Tier2Stats &from = before.tier2, &to = after.tier2;
    return {{"guest_instructions", host.guest},
            {"host_instructions", host.all()},
            {"classes", by_class(host.host)},
            {"registers", registers},
            {"superblocks",
             {{"runs", host.superblock_runs},
              {"guest_instructions", host.in_superblocks},
              {"classes", by_class(host.superblock)},
              {"out_of_line", by_class(host.superblock_exits)}}},
            {"regions",
             {{"compiled", to.compiled - from.compiled},
              {"compile_nanoseconds", to.compile_ns - from.compile_ns},
              {"rejected", to.rejected - from.rejected},
              {"discarded", to.deoptimised - from.deoptimised},
              {"entered", to.entered - from.entered},
              {"side_exits", to.side_exits - from.side_exits}}},
            {"counters", difference(before.counters, after.counters)}};
}
}  // namespace

void ProfileMarks::write(std::span<const uint8_t> bytes) {
    watch(bytes);
    below_.write(bytes);
}

size_t ProfileMarks::offer(std::span<const uint8_t> bytes) {
    const size_t taken = below_.offer(bytes);
    watch(bytes.first(taken));
    return taken;
}

void ProfileMarks::watch(std::span<const uint8_t> bytes) {
    for (const uint8_t byte : bytes) {
        if (byte == '\n') {
            on_line();
            line_.clear();
        } else if (byte != '\r' && line_.size() < kLongest) {
            line_ += static_cast<char>(byte);
        }
    }
}

void ProfileMarks::on_line() {
    if (line_.starts_with(kStart)) {
        open_ = Open{line_.substr(kStart.size()), sample_()};
    } else if (open_ && line_ == std::string(kEnd) + open_->name) {
        programs_.push_back({std::move(open_->name), open_->before, sample_()});
        open_.reset();
    }
}

std::string ProfileMarks::json() const {
    Json programs = Json::array();
    for (const Program& p : programs_) {
        Json program{{"name", p.name}};
        program.update(describe(p.before, p.after));
        programs.push_back(std::move(program));
    }
    return Json{{"all", describe({}, sample_())}, {"programs", std::move(programs)}}.dump(
        2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace arclight::guestos
