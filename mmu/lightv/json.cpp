#include "mmu/lightv/json.h"

#include <fmt/format.h>

namespace arclight::mmu::lightv {

namespace {

/// Follows the text without building anything.
class DepthCheck final : public nlohmann::json_sax<Json> {
  public:
    bool too_deep() const { return too_deep_; }
    size_t bad_byte() const { return bad_byte_; }

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool key(string_t&) override { return true; }
    bool start_object(std::size_t) override { return enter(); }
    bool start_array(std::size_t) override { return enter(); }
    bool end_object() override { return leave(); }
    bool end_array() override { return leave(); }
    bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
        bad_byte_ = position;
        return false;
    }

  private:
    bool enter() {
        too_deep_ = ++depth_ > kMaxJsonDepth;
        return !too_deep_;
    }
    bool leave() {
        --depth_;
        return true;
    }

    unsigned depth_ = 0;
    bool too_deep_ = false;
    size_t bad_byte_ = 0;
};

}  // namespace

Result<Json> parse_json(std::string_view text, size_t max_bytes, bool comments) {
    if (text.size() > max_bytes) return failure("JSON of more than {} KiB", max_bytes >> 10);
    DepthCheck check;
    const bool good = Json::sax_parse(text, &check, Json::input_format_t::json, true, comments);
    if (check.too_deep()) return failure("JSON with more than {} levels", kMaxJsonDepth);
    if (!good) return failure("not JSON (at byte {})", check.bad_byte());
    return Json::parse(text, nullptr, false, comments);
}

}  // namespace arclight::mmu::lightv
