// Loops in tier 2's regions, whose accesses are checked for many iterations at once
// (jit/llvm/loop_versioning.h): random loops over memory whose pages do not follow each other on the host,
// against the same executed step by step.
#include <random>

#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using backend::testing::Memory;
using ir::Op;
using ir::Type;
using testing::Regions;

/// One guest instruction. Registers: X0..X3 hold data, X4..X8 addresses, X9, X10 indices, X11 counts down,
/// X12, X13 say how far to go.
struct Step {
    enum Kind { Load, Store, LoadIndexed, StoreIndexed, LoadPost, Move, MoveBy, Add, Count, Again } kind;
    unsigned data = 0, base = 0, index = 0, shift = 0, log2 = 3;
    int64_t by = 0;  ///< displacement or step
};
constexpr unsigned kCounter = 11;

struct Model {
    uint64_t x[14];
    std::vector<uint8_t> bytes;
    size_t next = 0;  ///< step

    void execute(const Step& s, bool& fault) {
        const unsigned size = 1u << s.log2;
        uint64_t address = x[s.base] + static_cast<uint64_t>(s.by);
        if (s.kind == Step::LoadIndexed || s.kind == Step::StoreIndexed)
            address = x[s.base] + (x[s.index] << s.shift);
        if (s.kind == Step::LoadPost) address = x[s.base];
        const bool writes = s.kind == Step::Store || s.kind == Step::StoreIndexed;
        const bool accesses =
            writes || s.kind == Step::Load || s.kind == Step::LoadIndexed || s.kind == Step::LoadPost;
        if (accesses && !Memory::allowed(address, size, writes)) {
            fault = true;
            return;
        }
        uint8_t* p = accesses ? bytes.data() + (address - Memory::kBase) : nullptr;
        ++next;
        switch (s.kind) {
            case Step::LoadPost: x[s.base] += static_cast<uint64_t>(s.by); [[fallthrough]];
            case Step::Load:
            case Step::LoadIndexed:
                x[s.data] = 0;
                std::memcpy(&x[s.data], p, size);
                break;
            case Step::Store:
            case Step::StoreIndexed: std::memcpy(p, &x[s.data], size); break;
            case Step::Move: x[s.base] += static_cast<uint64_t>(s.by); break;
            case Step::MoveBy: x[s.base] += x[s.index]; break;
            case Step::Add: x[s.data] = x[s.data] * 3 + x[s.index]; break;
            case Step::Count: --x[kCounter]; break;
            case Step::Again: next = x[kCounter] != 0 ? 0 : next; break;
        }
    }
};

class RegionLoopTest : public ::testing::Test {
  protected:
    const uint8_t* make(const std::vector<Step>& steps) {
        Region region = Regions::with_front(4);
        RegionBlock& block = region.blocks.emplace_back();
        block.offset = 4;
        block.ir.pa = region.pa + 4;
        block.ir.guest_insns = static_cast<uint32_t>(steps.size());
        ir::Builder b(block.ir);
        for (size_t k = 0; k < steps.size(); ++k) {
            const Step& s = steps[k];
            b.insn_start(static_cast<uint32_t>(4 * k + 4), 0);
            const auto sum = [&](unsigned reg, int64_t by) {
                return b.emit(Op::Add, Type::I64, {b.get_x(reg), b.i64(static_cast<uint64_t>(by))});
            };
            const auto indexed = [&] {
                const ir::Ref by = b.emit(Op::Shl, Type::I64, {b.get_x(s.index), b.i64(s.shift)});
                return b.emit(Op::Add, Type::I64, {b.get_x(s.base), by});
            };
            const auto load = [&](ir::Ref address) {
                b.set_x(s.data, b.emit(Op::Load, Type::I64, {address}, 0, s.log2));
            };
            const auto store = [&](ir::Ref address) {
                b.emit(Op::Store, Type::Void, {address, b.get_x(s.data)}, 0, s.log2);
            };
            switch (s.kind) {
                case Step::Load: load(sum(s.base, s.by)); break;
                case Step::LoadIndexed: load(indexed()); break;
                case Step::LoadPost: {
                    const ir::Ref next = sum(s.base, s.by);
                    load(b.get_x(s.base));
                    b.set_x(s.base, next);
                    break;
                }
                case Step::Store: store(sum(s.base, s.by)); break;
                case Step::StoreIndexed: store(indexed()); break;
                case Step::Move: b.set_x(s.base, sum(s.base, s.by)); break;
                case Step::MoveBy:
                    b.set_x(s.base, b.emit(Op::Add, Type::I64, {b.get_x(s.base), b.get_x(s.index)}));
                    break;
                case Step::Add: {
                    const ir::Ref three = b.emit(Op::Mul, Type::I64, {b.get_x(s.data), b.i64(3)});
                    b.set_x(s.data, b.emit(Op::Add, Type::I64, {three, b.get_x(s.index)}));
                    break;
                }
                case Step::Count: {
                    const ir::Ref left = b.emit(Op::Sub, Type::I64, {b.get_x(kCounter), b.i64(1)});
                    b.set_flags(b.emit(Op::FlagsOf, Type::Flags, {left}));
                    b.set_x(kCounter, left);
                    break;
                }
                case Step::Again: {
                    const ir::Ref flags = b.get_flags();
                    b.emit(Op::ExitIf, Type::Void, {b.emit(Op::Cond, Type::I1, {flags}, 1)}, 4);
                    break;
                }
            }
        }
        b.emit(Op::Exit, Type::Void, {}, 4 * steps.size() + 4);
        EXPECT_EQ(ir::verify(block.ir), "") << ir::print(block.ir);
        const std::string object = regions_.compile(region);
        const void* entry = regions_.load(object);
        return jit::emit_region_stub(h_.code, {entry, nullptr, jit::kNoCounter});
    }

    Harness h_;
    Regions regions_;
};

std::vector<Step> random_loop(std::mt19937_64& rng) {
    const auto below = [&](unsigned n) { return static_cast<unsigned>(rng() % n); };
    std::vector<Step> steps;
    const unsigned accesses = 1 + below(6);
    for (unsigned k = 0; k < accesses; ++k) {
        Step s{};
        s.kind = static_cast<Step::Kind>(below(Step::LoadPost + 1));
        s.data = below(4);
        s.base = 4 + below(5);
        s.index = 9 + below(2);
        s.log2 = below(4);
        s.shift = below(4);
        s.by = static_cast<int64_t>(below(48)) - 16;
        steps.push_back(s);
        if (below(3) == 0) steps.push_back({.kind = Step::Add, .data = below(4), .index = below(4)});
    }
    for (unsigned reg = 4; reg <= 10; ++reg) {
        const unsigned choice = below(4);
        if (choice == 0) continue;
        const int64_t by = choice == 1 ? 8 : static_cast<int64_t>(below(41)) - 20;
        Step s{.kind = Step::Move, .base = reg, .by = reg > 8 ? by / 8 : by};
        if (below(6) == 0) s = {.kind = Step::MoveBy, .base = reg, .index = 12 + below(2)};
        steps.insert(steps.begin() + below(static_cast<unsigned>(steps.size()) + 1), s);
    }
    steps.push_back({.kind = Step::Count});
    steps.push_back({.kind = Step::Again});
    return steps;
}

TEST_F(RegionLoopTest, RandomLoopsDoWhatTheirStepsDo) {
    unsigned inside = 0, outside = 0;
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937_64 rng(seed);
        const std::vector<Step> steps = random_loop(rng);
        const uint8_t* stub = make(steps);
        for (unsigned run = 0; run < 6; ++run) {
            h_.reset();
            h_.fill_tlb();
            // Each page lies elsewhere on the host: the first and the third one change places.
            h_.tlb->entries[mmu::tlb_index(Memory::kBase)].addend += 8192;
            h_.tlb->entries[mmu::tlb_index(Memory::kBase + 8192)].addend -= 8192;
            const auto host = [](size_t guest) {
                return guest < 4096 ? guest + 8192 : guest < 8192 || guest >= 12288 ? guest : guest - 8192;
            };
            Model model;
            model.bytes.resize(sizeof h_.memory.bytes);
            for (size_t k = 0; k < model.bytes.size(); ++k) {
                model.bytes[k] = static_cast<uint8_t>(rng());
                h_.memory.bytes[host(k)] = model.bytes[k];
            }
            for (unsigned r = 0; r < 4; ++r) model.x[r] = rng();
            for (unsigned r = 4; r <= 8; ++r) model.x[r] = Memory::kBase + 64 + rng() % (4 * 4096 - 128);
            for (unsigned r = 9; r <= 10; ++r) model.x[r] = rng() % 64;
            for (unsigned r = 12; r <= 13; ++r) model.x[r] = rng() % 512 - 256;
            model.x[kCounter] = 1 + rng() % 600;
            bool fault = false;
            while (!fault && model.next < steps.size()) {
                // From the loop's start in the region, from wherever that was left step by step.
                GuestState& s = h_.state();
                std::copy(std::begin(model.x), std::end(model.x), s.x);
                s.pc = s.page_base = Harness::kPage;
                h_.accelerator.run(s, stub);
                const uint64_t left_at = (s.pc - Harness::kPage) / 4 - 1;
                ASSERT_LE(left_at, steps.size()) << "seed " << seed;
                const auto here = [&] { return model.next == left_at && model.x[kCounter] == s.x[kCounter]; };
                const uint64_t before = model.x[kCounter];
                while (!fault && !here() && model.next < steps.size())
                    model.execute(steps[model.next], fault);
                inside += static_cast<unsigned>(before - model.x[kCounter]);
                ASSERT_FALSE(fault) << "seed " << seed << " run " << run
                                    << ": went past a fault, or is nowhere";
                ASSERT_TRUE(here()) << "seed " << seed << " run " << run << " left at " << left_at;
                for (unsigned r = 0; r < 14; ++r)
                    ASSERT_EQ(model.x[r], s.x[r]) << "seed " << seed << " X" << r;
                for (size_t k = 0; k < model.bytes.size(); ++k)
                    ASSERT_EQ(model.bytes[k], h_.memory.bytes[host(k)])
                        << "seed " << seed << " run " << run << " byte " << k;
                outside += static_cast<unsigned>(model.x[kCounter] != 0);
                // The rest of this iteration, as tier 1 would.
                do {
                    if (model.next >= steps.size()) break;
                    model.execute(steps[model.next], fault);
                } while (!fault && model.next != 0);
                for (size_t k = 0; k < model.bytes.size(); ++k) h_.memory.bytes[host(k)] = model.bytes[k];
            }
        }
    }
    // Most iterations must have been in the region.
    EXPECT_GT(inside, 20 * outside);
}

}  // namespace
}  // namespace arclight::jit
