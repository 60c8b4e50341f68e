#include "guestos/lightv/policy.h"

#include "guestos/file.h"
#include "guestos/lightv/selectors.h"
#include "mmu/lightv/json.h"
#include "mmu/lightv/parameters.h"

namespace arclight::guestos {

using mmu::lightv::Json;
using mmu::lightv::Parameters;
using mmu::lightv::Request;

Result<Request> parse_request(MachineAccess& machine, const Symbols* symbols, const Json& json) {
    // Pages may be one selector or several.
    Json rest = json;
    Json selectors = Json::array();
    if (rest.is_object() && rest.contains("pages")) {
        selectors = rest["pages"].is_array() ? rest["pages"] : Json::array({rest["pages"]});
        rest.erase("pages");
    }
    Parameters p(rest, "attachment");
    Request r{.owner = p.text("controller", "default"), .name = p.text("name"), .kind = p.text("module")};
    r.device = p.text("device", "");
    if (Json with = p.object("with", false); !with.is_null()) r.parameters = std::move(with);
    if (auto good = p.finish(); !good) return std::unexpected(good.error());
    for (const Json& selector : selectors) {
        const auto pages = select_pages(machine, symbols, selector);
        if (!pages) return failure("'{}': {}", r.name, pages.error());
        r.pages.insert(r.pages.end(), pages->begin(), pages->end());
    }
    return r;
}

Result<std::vector<Request>> read_policy(MachineAccess& machine, const Symbols* symbols,
                                         const std::string& path) {
    const auto text = read_file("policy", path, mmu::lightv::kMaxPolicyBytes);
    if (!text) return std::unexpected(text.error());
    const auto json = mmu::lightv::parse_json({reinterpret_cast<const char*>(text->data()), text->size()},
                                              mmu::lightv::kMaxPolicyBytes, true);
    if (!json) return failure("policy '{}': {}", path, json.error());
    if (!json->is_object() || json->size() != 1 || !json->contains("attach") || !(*json)["attach"].is_array())
        return failure("policy '{}': it must be {{\"attach\": [...]}}", path);
    std::vector<Request> requests;
    for (const Json& one : (*json)["attach"]) {
        auto request = parse_request(machine, symbols, one);
        if (!request) return failure("policy '{}': {}", path, request.error());
        requests.push_back(std::move(*request));
    }
    return requests;
}

}  // namespace arclight::guestos
