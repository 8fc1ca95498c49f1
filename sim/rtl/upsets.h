// The memories of a verilated design, as radiation sees them: any bit can flip, and after power-up they hold anything.
//
// They are found by Verilator's VPI, so the simulator has to be built with --vpi and with the arrays public (see
// sim/rtl/simulation.py). Without UPSETS this is empty: other simulators run at their full speed.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#if UPSETS
#include "verilated_vpi.h"

struct StoredArray {
    std::string name;  // of the instance that has it
    vpiHandle handle;
    uint64_t words, bits;
};

class Memories {
    std::vector<StoredArray> found_;

    void search(vpiHandle scope) {
        vpiHandle item;
        vpiHandle arrays = vpi_iterate(vpiReg, scope);
        while (arrays && (item = vpi_scan(arrays))) {
            const int type = vpi_get(vpiType, item);
            if (type != vpiMemory && type != vpiRegArray) continue;
            const vpiHandle word = vpi_handle_by_index(item, 0);
            if (!word) continue;
            found_.push_back({vpi_get_str(vpiFullName, scope), item, uint64_t(vpi_get(vpiSize, item)),
                              uint64_t(vpi_get(vpiSize, word))});
        }
        vpiHandle modules = vpi_iterate(vpiModule, scope);
        while (modules && (item = vpi_scan(modules))) search(item);
    }

    static std::vector<s_vpi_vecval> read(vpiHandle word, uint64_t bits) {
        s_vpi_value value;
        value.format = vpiVectorVal;
        vpi_get_value(word, &value);
        return {value.value.vector, value.value.vector + (bits + 31) / 32};
    }

    static void write(vpiHandle word, std::vector<s_vpi_vecval>& bits) {
        s_vpi_value value;
        value.format = vpiVectorVal;
        value.value.vector = bits.data();
        vpi_put_value(word, &value, nullptr, vpiNoDelay);
    }

  public:
    static constexpr bool known = true;

    const std::vector<StoredArray>& all() {
        if (found_.empty()) search(nullptr);
        return found_;
    }

    // Flips the same bits of some words; false if there is no such memory, word or bit.
    bool flip(const std::string& name, uint64_t first, uint64_t count, const std::vector<uint64_t>& bits) {
        for (const StoredArray& memory : all()) {
            if (memory.name != name) continue;
            if (first > memory.words || count > memory.words - first) return false;
            for (const uint64_t bit : bits)
                if (bit >= memory.bits) return false;
            for (uint64_t row = first; row < first + count; row++) {
                const vpiHandle word = vpi_handle_by_index(memory.handle, PLI_INT32(row));
                auto value = read(word, memory.bits);
                for (const uint64_t bit : bits) value[bit / 32].aval ^= 1u << bit % 32;
                write(word, value);
                vpi_release_handle(word);
            }
            return true;
        }
        return false;
    }

    // Random contents of all of them.
    template <typename Random>
    void scramble(Random random) {
        for (const StoredArray& memory : all())
            for (uint64_t row = 0; row < memory.words; row++) {
                const vpiHandle word = vpi_handle_by_index(memory.handle, PLI_INT32(row));
                auto value = read(word, memory.bits);
                for (auto& part : value) part.aval = uint32_t(random.next() >> 32), part.bval = 0;
                if (memory.bits % 32) value.back().aval &= (1u << memory.bits % 32) - 1;
                write(word, value);
                vpi_release_handle(word);
            }
    }
};
#else
struct StoredArray {
    std::string name;
    uint64_t words, bits;
};

struct Memories {
    static constexpr bool known = false;

    std::vector<StoredArray> all() { return {}; }
    bool flip(const std::string&, uint64_t, uint64_t, const std::vector<uint64_t>&) { return false; }
    template <typename Random>
    void scramble(Random) {}
};
#endif
