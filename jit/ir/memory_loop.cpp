#include "jit/ir/memory_loop.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace arclight::jit::ir {

namespace {
constexpr uint64_t kPageOffset = 0xfff;
constexpr unsigned kX = 32, kV = 32;
/// Guest instructions that cost as much as a call of C++ that copies little.
constexpr unsigned kCallInsns = 64;

/// A register's value when a turn begins, plus a constant.
struct Affine {
    uint8_t reg = MemoryLoop::kNoRegister;
    int64_t plus = 0;
    bool word = false;  ///< modulo 2^32
};

struct Access {
    Ref root;
    int64_t by;
    Ref value;  ///< of a load its result, of a store what it stores; kNoRef: zeros
    unsigned bytes;
    bool unprivileged;
};

class Finder {
  public:
    explicit Finder(const Block& block) : block_(block) {}

    std::unique_ptr<MemoryLoop> find() {
        if (!find_back_edge() || !read_turn() || stores_.empty()) return nullptr;
        loop_ = std::make_unique<MemoryLoop>();
        if (!find_inductions() || !find_count(block_[back_edge_].args[0])) return nullptr;
        if (!place(stores_, loop_->to) || !describe_values()) return nullptr;
        if (is_zeroed_ != loop_->is_zeroed) return nullptr;
        loop_->least = std::bit_ceil(std::max(4u, kCallInsns / turn_insns_));
        return std::move(loop_);
    }

  private:
    const Inst& at(Ref r) const { return block_[r]; }

    bool find_back_edge() {
        for (Ref r = 0; r < block_.insts.size(); ++r) {
            const Inst& i = at(r);
            if (i.op == Op::InsnStart) ++turn_insns_;
            if (i.op == Op::ExitIf) {
                back_edge_ = r;
                return i.imm == (block_.pa & kPageOffset);
            }
        }
        return false;
    }

    void access(const Inst& i, Ref value, unsigned bytes, std::vector<Access>& into, int64_t further = 0) {
        const Displaced d = displaced(block_, i.args[0]);
        into.push_back({.root = d.root,
                        .by = d.by + further,
                        .value = value,
                        .bytes = bytes,
                        .unprivileged = (i.aux & kMemUnprivileged) != 0});
    }

    /// Everything up to the exit is plain: accesses, registers, and what is computed of them.
    bool read_turn() {
        x_set_.fill(kNoRef), v_set_.fill(kNoRef), x_read_.fill(kNoRef), v_read_.fill(kNoRef);
        for (Ref r = 0; r < back_edge_; ++r) {
            const Inst& i = at(r);
            const unsigned bytes = 1u << mem_size_log2(i.aux);
            if ((is_plain_access(i.op) || i.op == Op::ZeroBlock) &&
                ((i.aux & ~(kMemSizeMask | kMemUnprivileged | kMemWhole)) != 0 || i.imm != 0))
                return false;
            switch (i.op) {
                case Op::InsnStart: break;
                case Op::GetX:
                    if (x_set_[i.imm] != kNoRef) return false;
                    x_read_[i.imm] = r;
                    break;
                case Op::GetV:
                    if (v_set_[i.imm] != kNoRef) return false;
                    v_read_[i.imm] = r;
                    break;
                case Op::SetX: x_set_[i.imm] = i.args[0]; break;
                case Op::SetV: v_set_[i.imm] = i.args[0]; break;
                case Op::SetFlags: break;
                case Op::Load:
                case Op::LoadV: access(i, r, bytes, loads_); break;
                case Op::LoadPair:
                case Op::LoadPairV:
                    access(i, r, bytes, loads_);
                    access(i, r + 1, bytes, loads_, bytes);
                    break;
                case Op::Store:
                case Op::StoreV: access(i, i.args[1], bytes, stores_); break;
                case Op::StorePair:
                case Op::StorePairV:
                    access(i, i.args[1], bytes, stores_);
                    access(i, i.args[2], bytes, stores_, bytes);
                    break;
                case Op::ZeroBlock: access(i, kNoRef, bytes, stores_); break;
                default:
                    if (info(i.op).effects != 'P') return false;
            }
        }
        return find_block_size();
    }

    /// A register may have the size of the blocks that are zeroed.
    bool find_block_size() {
        for (unsigned x = 0; x < kX; ++x) {
            if (x_set_[x] == kNoRef) continue;
            const Inst& i = at(x_set_[x]);
            if ((i.op != Op::Add && i.op != Op::Sub) || i.type != Type::I64 || at(i.args[1]).op != Op::GetX)
                continue;
            const auto size = static_cast<uint8_t>(at(i.args[1]).imm);
            if (x_set_[size] != kNoRef || (is_zeroed_ != MemoryLoop::kNoRegister && is_zeroed_ != size))
                return false;
            is_zeroed_ = size;
        }
        return true;
    }

    /// Sums and differences with constants, all of one width.
    std::optional<Affine> affine(Ref r) const {
        Affine a;
        if (at(r).op == Op::Const) return Affine{.plus = static_cast<int64_t>(at(r).imm)};
        a.word = (at(r).op == Op::Add || at(r).op == Op::Sub) && at(r).type == Type::I32;
        while (at(r).op == Op::Add || at(r).op == Op::Sub) {
            const Inst& sum = at(r);
            const Inst& term = at(sum.args[1]);
            const bool size = term.op == Op::GetX && term.imm == is_zeroed_;
            if ((sum.type == Type::I32) != a.word || (term.op != Op::Const && !size)) return {};
            const auto by = size ? int64_t{MemoryLoop::kZeroed} : static_cast<int64_t>(term.imm);
            a.plus += sum.op == Op::Add ? by : -by;
            if (a.word) a.plus = static_cast<int32_t>(a.plus);
            r = sum.args[0];
        }
        if (at(r).op != Op::GetX) return {};
        a.reg = static_cast<uint8_t>(at(r).imm);
        return a;
    }

    bool is_load(Ref r) const {
        return r != kNoRef && std::ranges::any_of(loads_, [r](const Access& l) { return l.value == r; });
    }

    /// A register that a turn reads and writes grows by a constant, or has what it loads.
    bool find_inductions() {
        for (unsigned x = 0; x < kX; ++x) {
            if (x_set_[x] == kNoRef || x_read_[x] == kNoRef || x_set_[x] == x_read_[x]) continue;
            if (is_load(x_set_[x])) {
                ++carried_;
                continue;
            }
            const auto a = affine(x_set_[x]);
            if (!a || a->reg != x) return false;
            loop_->inductions.push_back({static_cast<uint8_t>(x), a->plus, a->word});
        }
        for (unsigned v = 0; v < kV; ++v) {
            if (v_set_[v] == kNoRef || v_read_[v] == kNoRef || v_set_[v] == v_read_[v]) continue;
            if (!is_load(v_set_[v])) return false;
            ++carried_;
        }
        return true;
    }
    const MemoryLoop::Induction* induction(uint8_t reg) const {
        const auto found = std::ranges::find(loop_->inductions, reg, &MemoryLoop::Induction::reg);
        return found == loop_->inductions.end() ? nullptr : &*found;
    }
    /// Of a register that is a count or an address.
    std::optional<int64_t> step(uint8_t reg, bool may_be_word) const {
        if (reg == MemoryLoop::kNoRegister) return 0;
        const MemoryLoop::Induction* i = induction(reg);
        if (i != nullptr) return i->word && !may_be_word ? std::optional<int64_t>{} : i->step;
        return x_set_[reg] == kNoRef || x_set_[reg] == x_read_[reg] ? std::optional<int64_t>{0}
                                                                    : std::nullopt;
    }

    bool find_count(Ref condition) {
        using Until = MemoryLoop::Count::Until;
        const Inst& c = at(condition);
        MemoryLoop::Count& count = loop_->count;
        Ref compared = kNoRef, with = kNoRef;
        if (c.op == Op::IsNotZero) {
            compared = c.args[0];
            count.mask = c.aux == 32 ? 0xffff'ffff : ~uint64_t{0};
        } else if (c.op == Op::Cond && at(c.args[0]).op == Op::FlagsOf) {
            static constexpr Until kNone{255};
            static constexpr std::array<Until, 14> kUntil{
                kNone,           Until::NotEqual, Until::NotBelow, Until::Below,     Until::Negative,
                Until::Positive, kNone,           kNone,           Until::Above,     Until::NotAbove,
                Until::NotLess,  Until::Less,     Until::Greater,  Until::NotGreater};
            const Inst& of = at(at(c.args[0]).args[0]);
            count.until = kUntil[c.imm % kUntil.size()];
            if (count.until == kNone) return false;
            if (of.type == Type::I32) count.mask = 0xffff'ffff;
            if (of.op == Op::Sub) {
                compared = of.args[0], with = of.args[1];
            } else if (of.op == Op::And && at(of.args[1]).op == Op::Const && count.until == Until::NotEqual) {
                count.mask &= at(of.args[1]).imm;
                if (!std::has_single_bit(count.mask + 1)) return false;
                count.until = Until::Masked;
                compared = of.args[0];
            } else {
                return false;
            }
        } else {
            return false;
        }
        const auto a = affine(compared), b = with == kNoRef ? Affine{} : affine(with);
        if (!a || !b) return false;
        const auto step_a = step(a->reg, count.mask >> 32 == 0), step_b = step(b->reg, count.mask >> 32 == 0);
        if (!step_a || !step_b || (*step_a == 0) == (*step_b == 0)) return false;
        // A sum of words is one modulo 2^32, whatever is added to it.
        if ((a->word || b->word) && count.mask >> 32 != 0) return false;
        count.a = a->reg, count.plus_a = a->plus;
        count.b = b->reg, count.plus_b = b->plus;
        count.step = *step_a - *step_b;
        switch (count.until) {
            case Until::NotEqual:
            case Until::Masked: return true;
            case Until::Above:
            case Until::NotBelow:
            case Until::Greater:
            case Until::NotLess:
            case Until::Positive: return count.step < 0;
            default: return count.step > 0;
        }
    }

    /// One register, or the sum of two.
    bool read_root(Ref root, MemoryLoop::Place& out) const {
        const Inst& i = at(root);
        if (i.op == Op::GetX) {
            out.base = static_cast<uint8_t>(i.imm);
            return true;
        }
        if (i.op != Op::Add || i.type != Type::I64 || at(i.args[0]).op != Op::GetX ||
            at(i.args[1]).op != Op::GetX)
            return false;
        out.base = static_cast<uint8_t>(at(i.args[0]).imm),
        out.index = static_cast<uint8_t>(at(i.args[1]).imm);
        return true;
    }

    /// The accesses are behind one another, and a turn's as many bytes as the address moves.
    bool place(std::vector<Access>& all, MemoryLoop::Place& out) {
        std::ranges::sort(all, {}, &Access::by);
        if (!read_root(all[0].root, out)) return false;
        MemoryLoop::Place same;
        int64_t end = all[0].by;
        for (const Access& a : all) {
            if (a.by != end || a.unprivileged != all[0].unprivileged || !read_root(a.root, same) ||
                same.base != out.base || same.index != out.index)
                return false;
            end += a.bytes;
        }
        out.plus = all[0].by;
        out.unprivileged = all[0].unprivileged;
        const auto base = step(out.base, false), index = step(out.index, false);
        if (!base || !index) return false;
        const int64_t moves = *base + *index, bytes = end - out.plus;
        if (bytes > MemoryLoop::kMaxBytes || (moves != bytes && moves != -bytes)) return false;
        if (loop_->bytes != 0 && (loop_->bytes != bytes || loop_->down != (moves < 0))) return false;
        loop_->bytes = static_cast<uint32_t>(bytes);
        loop_->down = moves < 0;
        return true;
    }

    unsigned uses(Ref of) const {
        unsigned n = 0;
        for (Ref r = 0; r < back_edge_; ++r)
            for (unsigned k = 0; k < at(r).nargs; ++k)
                n += at(r).args[k] == of && at(r).op != Op::SetX && at(r).op != Op::SetV &&
                     at(r).op != Op::PairSecond;
        return n;
    }

    bool describe_values() {
        if (loads_.empty()) return describe_fill();
        if (!place(loads_, loop_->from) || loads_.size() != stores_.size()) return false;
        const bool delayed = carried_ != 0;
        loop_->kind = delayed ? MemoryLoop::Kind::DelayedCopy : MemoryLoop::Kind::Copy;
        if (delayed && carried_ != stores_.size()) return false;
        for (size_t n = 0; n < stores_.size(); ++n) {
            const Access &store = stores_[n], &load = loads_[n];
            if (store.bytes != load.bytes || store.value == kNoRef) return false;
            if (!delayed) {
                // Of each turn all is loaded before any of it is stored where the two overlap: nowhere.
                if (store.value != load.value || uses(load.value) != 1) return false;
                continue;
            }
            const Inst& value = at(store.value);
            const bool vector = value.op == Op::GetV;
            if ((!vector && value.op != Op::GetX) || (vector ? v_set_ : x_set_)[value.imm] != load.value)
                return false;
            if (uses(store.value) != 1 || uses(load.value) != 0) return false;
            loop_->units.push_back(unit(store, vector, static_cast<uint8_t>(value.imm), 0));
        }
        return true;
    }
    MemoryLoop::Unit unit(const Access& store, bool vector, uint8_t reg, uint64_t value) const {
        return {.offset = static_cast<uint16_t>(store.by - stores_[0].by),
                .bytes = static_cast<uint8_t>(store.bytes),
                .vector = vector,
                .reg = reg,
                .value = value};
    }

    bool describe_fill() {
        loop_->kind = MemoryLoop::Kind::Fill;
        if (stores_[0].value == kNoRef) {
            loop_->kind = MemoryLoop::Kind::Zero;
            loop_->is_zeroed = is_zeroed_;
            return std::ranges::all_of(stores_, [](const Access& s) { return s.value == kNoRef; });
        }
        for (const Access& store : stores_) {
            if (store.value == kNoRef) return false;
            const Inst& value = at(store.value);
            if (value.op == Op::Const || value.op == Op::VConst) {
                if (value.op == Op::VConst && value.imm != 0) return false;
                loop_->units.push_back(unit(store, false, MemoryLoop::kNoRegister, value.imm));
                continue;
            }
            const bool vector = value.op == Op::GetV;
            if (!vector && value.op != Op::GetX) return false;
            const Ref set = (vector ? v_set_ : x_set_)[value.imm];
            if (set != kNoRef && set != store.value) return false;
            loop_->units.push_back(unit(store, vector, static_cast<uint8_t>(value.imm), 0));
        }
        return true;
    }

    const Block& block_;
    std::unique_ptr<MemoryLoop> loop_;
    Ref back_edge_ = kNoRef;
    unsigned turn_insns_ = 0;
    uint8_t is_zeroed_ = MemoryLoop::kNoRegister;
    size_t carried_ = 0;  ///< registers that have for the next turn what this one loads
    std::array<Ref, kX> x_set_, x_read_;
    std::array<Ref, kV> v_set_, v_read_;
    std::vector<Access> loads_, stores_;
};

uint64_t value_of(const uint64_t* x, uint8_t reg, int64_t plus) {
    return (reg == MemoryLoop::kNoRegister ? 0 : x[reg]) + static_cast<uint64_t>(plus);
}
}  // namespace

std::unique_ptr<MemoryLoop> find_memory_loop(const Block& block) { return Finder(block).find(); }

uint64_t MemoryLoop::turns(const uint64_t* x) const {
    using Until = Count::Until;
    const uint64_t a = value_of(x, count.a, count.plus_a) & count.mask,
                   b = value_of(x, count.b, count.plus_b) & count.mask;
    const bool falls = count.step < 0;
    const uint64_t step = falls ? -static_cast<uint64_t>(count.step) : static_cast<uint64_t>(count.step);
    const uint64_t left = (falls ? a - b : b - a) & count.mask;
    const uint64_t sign = count.mask ^ count.mask >> 1;
    // Signed comparison is unsigned comparison with the sign's bit inverted.
    const uint64_t sa = a ^ sign, sb = b ^ sign;
    // Turns after the first one before nothing is left; and before less than nothing is.
    const uint64_t until_none = left / step + (left % step != 0), until_less = left / step + 1;
    switch (count.until) {
        case Until::NotEqual:
        case Until::Masked: return until_none;
        case Until::Above: return a > b ? until_none : 0;
        case Until::NotBelow: return a >= b ? until_less : 0;
        case Until::Below: return a < b ? until_none : 0;
        case Until::NotAbove: return a <= b ? until_less : 0;
        case Until::Greater: return sa > sb ? until_none : 0;
        case Until::NotLess: return sa >= sb ? until_less : 0;
        case Until::Less: return sa < sb ? until_none : 0;
        case Until::NotGreater: return sa <= sb ? until_less : 0;
        case Until::Positive: return (left & sign) == 0 ? until_less : 0;
        case Until::Negative: return (left & sign) == 0 ? until_none : 0;
    }
    return 0;
}

void run_memory_loop(Block& block, const MemoryLoop& loop) {
    Block front;
    Builder builder(front);
    front.insts.push_back(block.insts.front());  // its InsnStart
    const auto value = [&](uint8_t reg, int64_t plus) {
        const Ref constant = builder.i64(static_cast<uint64_t>(plus));
        return reg == MemoryLoop::kNoRegister ? constant
                                              : builder.add(Type::I64, builder.get_x(reg), constant);
    };
    const MemoryLoop::Count& c = loop.count;
    const Ref a = value(c.a, c.plus_a), b = value(c.b, c.plus_b);
    Ref left = c.step < 0 ? builder.sub(Type::I64, a, b) : builder.sub(Type::I64, b, a);
    if (c.mask != ~uint64_t{0}) left = builder.bin(Op::And, Type::I64, left, builder.i64(c.mask));
    const uint64_t step = static_cast<uint64_t>(c.step < 0 ? -c.step : c.step);
    const unsigned shift = std::min(63u, static_cast<unsigned>(std::bit_width(loop.least * step)) - 1);
    const Ref many = builder.bin(Op::Shr, Type::I64, left, builder.i64(shift));
    builder.emit(Op::MemoryLoop, Type::Void, {many}, reinterpret_cast<uint64_t>(&loop));
    const auto grown = static_cast<Ref>(front.insts.size() - 1);
    for (size_t n = 1; n < block.insts.size(); ++n) {
        Inst i = block.insts[n];
        for (unsigned k = 0; k < i.nargs; ++k)
            if (i.args[k] != 0) i.args[k] += grown;
        front.insts.push_back(i);
    }
    block.insts = std::move(front.insts);
}

}  // namespace arclight::jit::ir
