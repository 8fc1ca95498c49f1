// Whole-network simulation: the verilated accelerator, an AXI4 memory behind its master ports, and a script of what
// the host does. Usage: <program> SCRIPT REPORT EVENTS
//
// SCRIPT: one command per line (see sim/rtl/simulation.py, which writes it). REPORT: JSON, one result per command that has
// one. EVENTS: records of 16 bytes (uint64 cycle, uint32 index, uint16 mark, uint8 unit, uint8 event). Progress goes
// to the standard output as "progress CYCLE MARK COMMAND" about four times a second.

#include <chrono>
#include <cinttypes>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <type_traits>

#include "Vtop.h"
#include "axi_memory.h"
#include "units.h"
#include "upsets.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

struct Event {
    uint64_t cycle;
    uint32_t index;
    uint16_t mark;
    uint8_t unit, event;
};
static_assert(sizeof(Event) == 16);

// All masters have the same pins.
struct MasterPins {
#define PIN(master, pin) std::remove_reference_t<decltype(Vtop::master##_##pin)>& pin;
    AXI_PINS(PIN, FIRST_MASTER)
#undef PIN
};
// The port of an AXI data bus is as wide as the bus.
constexpr int DATA_BYTES = sizeof(std::remove_reference_t<decltype(MasterPins::rdata)>);
using Memory = AxiMemory<MasterPins, DATA_BYTES>;

struct LitePayload {
    uint32_t data, response;
};

[[noreturn]] void fail(const std::string& text) {
    std::cerr << "harness: " << text << std::endl;
    std::exit(2);
}

class Simulation {
    VerilatedContext context_;
    Vtop top_;
    Random lite_random_;
    uint64_t lite_threshold_ = 0;
    ChannelRule<LitePayload> b_rule_, r_rule_;
    std::vector<Event> pending_;
    std::ofstream events_;
    bool record_ = true;
    std::chrono::steady_clock::time_point next_report_ = std::chrono::steady_clock::now();
#if VM_TRACE
    VerilatedVcdC waves_;
    bool waves_open_ = false;
#endif

    static VerilatedContext* prepared(VerilatedContext& context, int power_up) {
        if (power_up) {
            context.randReset(2);
            context.randSeed(power_up);
        }
        return &context;
    }

    void report_progress() {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_report_) return;
        next_report_ = now + std::chrono::milliseconds(250);
        std::cout << "progress " << cycle << ' ' << mark << ' ' << command << std::endl;
    }

    void log(uint8_t unit, uint8_t event, uint32_t index) {
        pending_.push_back({cycle, index, mark, unit, event});
        if (pending_.size() >= 65536) flush();
    }

    void sample_events() {
#define UNIT(number, trace)                                                  \
    if (top_.trace##_start) log(number, 0, top_.trace##_start_index);        \
    if (top_.trace##_done) log(number, 1, top_.trace##_done_index);
        UNITS  // of units.h, which is written from the map beside the Verilog
#undef UNIT
    }

    bool lite_stalled() { return lite_threshold_ && (lite_random_.next() >> 32) < lite_threshold_; }

  public:
    Storage storage;
    std::vector<Memory> ports;
    Memories memories;
    uint64_t cycle = 0;
    uint16_t mark = 0;
    size_t command = 0;

    /// power_up: seed of what registers and memories hold before the reset; 0: what the design says, else zeros.
    explicit Simulation(const char* events_path, int power_up)
        : top_(prepared(context_, power_up)), events_(events_path, std::ios::binary) {
        if (!events_) fail("cannot write the events file");
#define PIN(master, pin) top_.master##_##pin,
#define MASTER(number, master) \
    ports.emplace_back(MasterPins{AXI_PINS(PIN, master)}, storage, number, MASTER_COUNT > 1 ? #master " " : "");
        MASTERS  // of units.h
#undef MASTER
#undef PIN
        top_.aclk = 0;
        top_.aresetn = 0;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
        top_.s_axil_bready = top_.s_axil_rready = 0;
        top_.s_axil_awprot = top_.s_axil_arprot = 0;
        top_.s_axil_awaddr = top_.s_axil_araddr = 0;
        top_.s_axil_wdata = top_.s_axil_wstrb = 0;
        top_.eval();
    }

    ~Simulation() {
        flush();
#if VM_TRACE
        if (waves_open_) waves_.close();
#endif
        top_.final();
    }

    void flush() {
        events_.write(reinterpret_cast<const char*>(pending_.data()), pending_.size() * sizeof(Event));
        pending_.clear();
    }

    void open_waves(const std::string& path) {
#if VM_TRACE
        context_.traceEverOn(true);
        top_.trace(&waves_, 99);
        waves_.open(path.c_str());
        waves_open_ = true;
#else
        fail("waves need a simulation built with them: " + path);
#endif
    }

    void set_lite_stalls(uint64_t seed, uint64_t threshold) {
        lite_random_.state = seed;
        lite_threshold_ = threshold;
    }

    void set_recording(bool on) { record_ = on; }
    // C libraries define the bare word, so Verilator renames it.
    bool interrupt() const { return top_.__SYM__interrupt; }

    void tick() {
        const bool running = top_.aresetn;
        if (running)
            for (auto& port : ports) port.drive(cycle);
        top_.aclk = 0;
        top_.eval();
#if VM_TRACE
        if (waves_open_) waves_.dump(10 * cycle);
#endif
        if (running) {
            for (auto& port : ports) port.sample(cycle);
            b_rule_.check(top_.s_axil_bvalid, top_.s_axil_bready, {0, top_.s_axil_bresp}, "s_axil B", cycle,
                          storage.violations);
            r_rule_.check(top_.s_axil_rvalid, top_.s_axil_rready, {top_.s_axil_rdata, top_.s_axil_rresp}, "s_axil R",
                          cycle, storage.violations);
            if (record_) sample_events();
        }
        top_.aclk = 1;
        top_.eval();
#if VM_TRACE
        if (waves_open_) waves_.dump(10 * cycle + 5);
#endif
        for (auto& port : ports) port.edge();
        cycle++;
        if (cycle % 8192 == 0) report_progress();
    }

    void reset(uint64_t cycles) {
        top_.aresetn = 0;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_arvalid = 0;
        for (auto& port : ports) port.reset();
        b_rule_.reset();
        r_rule_.reset();
        for (uint64_t i = 0; i < cycles; i++) {
            tick();
            for (auto& port : ports) port.sample_reset(cycle);
        }
        top_.aresetn = 1;
    }

    // Address and data are offered independently, each after a random delay when the host side stalls.
    uint8_t write_register(uint32_t address, uint32_t value) {
        bool address_done = false, data_done = false;
        top_.s_axil_awaddr = address;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 0xf;
        for (int waited = 0; !address_done || !data_done; waited++) {
            if (waited > 10000) fail("the register interface does not accept a write");
            if (!address_done && !top_.s_axil_awvalid) top_.s_axil_awvalid = !lite_stalled();
            if (!data_done && !top_.s_axil_wvalid) top_.s_axil_wvalid = !lite_stalled();
            settle();
            const bool address_now = top_.s_axil_awvalid && top_.s_axil_awready;
            const bool data_now = top_.s_axil_wvalid && top_.s_axil_wready;
            tick();
            if (address_now) address_done = true, top_.s_axil_awvalid = 0;
            if (data_now) data_done = true, top_.s_axil_wvalid = 0;
        }
        for (int waited = 0;; waited++) {
            if (waited > 10000) fail("the register interface does not answer a write");
            top_.s_axil_bready = !lite_stalled();
            settle();
            const bool now = top_.s_axil_bvalid && top_.s_axil_bready;
            const uint8_t response = top_.s_axil_bresp;
            tick();
            if (now) {
                top_.s_axil_bready = 0;
                return response;
            }
        }
    }

    uint32_t read_register(uint32_t address, uint8_t& response) {
        top_.s_axil_araddr = address;
        for (int waited = 0;; waited++) {
            if (waited > 10000) fail("the register interface does not accept a read");
            if (!top_.s_axil_arvalid) top_.s_axil_arvalid = !lite_stalled();
            settle();
            const bool now = top_.s_axil_arvalid && top_.s_axil_arready;
            tick();
            if (now) break;
        }
        top_.s_axil_arvalid = 0;
        for (int waited = 0;; waited++) {
            if (waited > 10000) fail("the register interface does not answer a read");
            top_.s_axil_rready = !lite_stalled();
            settle();
            const bool now = top_.s_axil_rvalid && top_.s_axil_rready;
            const uint32_t value = top_.s_axil_rdata;
            response = top_.s_axil_rresp;
            tick();
            if (now) {
                top_.s_axil_rready = 0;
                return value;
            }
        }
    }

  private:
    // Ready and response outputs as the coming edge will see them; tick() settles again, with the same result for
    // the register interface.
    void settle() {
        top_.aclk = 0;
        top_.eval();
    }
};

uint64_t number(std::istringstream& line, const char* what) {
    std::string word;
    if (!(line >> word)) fail(std::string("missing ") + what);
    char* end = nullptr;
    const uint64_t value = std::strtoull(word.c_str(), &end, 0);
    if (*end) fail(std::string(what) + " is not a number: " + word);
    return value;
}

std::string word(std::istringstream& line, const char* what) {
    std::string text;
    if (!(line >> text)) fail(std::string("missing ") + what);
    return text;
}

// Not `quoted`: a call of that name finds std::quoted too, where <iomanip> is included by another header.
std::string json_string(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + '"';
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) fail("usage: SCRIPT REPORT EVENTS POWER_UP");
    std::ifstream script(argv[1]);
    if (!script) fail("cannot read the script");
    const auto begin = std::chrono::steady_clock::now();
    const auto simulation = std::make_unique<Simulation>(argv[3], std::atoi(argv[4]));
    Simulation& sim = *simulation;
    auto& memory = sim.storage;
    std::ostringstream results;
    std::string stopped;
    const char* separator = "";

    auto result = [&](const std::string& body) {
        results << separator << "\n    {\"command\": " << sim.command << ", \"cycle\": " << sim.cycle << ", " << body << "}";
        separator = ",";
    };
    auto check_range = [&](uint64_t address, uint64_t length) {
        if (address < memory.base || length > memory.bytes.size() || address - memory.base > memory.bytes.size() - length)
            fail("a host access leaves the memory");
    };

    std::string text;
    for (; stopped.empty() && std::getline(script, text); sim.command++) {
        std::istringstream line(text);
        std::string kind;
        if (!(line >> kind)) continue;
        if (kind == "width") {  // bytes of the data bus the host counts on
            if (number(line, "width") != DATA_BYTES)
                fail("the design's AXI data bus has " + std::to_string(DATA_BYTES) + " bytes");
        } else if (kind == "memory") {  // base and size in bytes
            memory.base = number(line, "base");
            memory.bytes.assign(number(line, "size"), 0);
        } else if (kind == "timing") {
            MemorySettings settings;
            settings.read_latency = number(line, "read latency");
            settings.write_latency = number(line, "write latency");
            settings.tokens_per_cycle = number(line, "tokens");
            settings.stall_threshold = number(line, "stall threshold");
            settings.seed = number(line, "seed");
            settings.outstanding = number(line, "outstanding bursts");
            settings.tokens_per_cycle = (settings.tokens_per_cycle + sim.ports.size() - 1) / sim.ports.size();
            for (auto& port : sim.ports) port.configure(settings);
            sim.set_lite_stalls(settings.seed, settings.stall_threshold);
        } else if (kind == "load") {  // address, file, offset, length
            const uint64_t address = number(line, "address");
            const std::string path = word(line, "file");
            const uint64_t offset = number(line, "offset"), length = number(line, "length");
            check_range(address, length);
            std::ifstream file(path, std::ios::binary);
            file.seekg(offset);
            file.read(reinterpret_cast<char*>(&memory.bytes[address - memory.base]), length);
            if (uint64_t(file.gcount()) != length) fail("cannot read " + path);
        } else if (kind == "dump") {  // address, length, file (appended)
            const uint64_t address = number(line, "address"), length = number(line, "length");
            check_range(address, length);
            std::ofstream file(word(line, "file"), std::ios::binary | std::ios::app);
            file.write(reinterpret_cast<const char*>(&memory.bytes[address - memory.base]), length);
            if (!file) fail("cannot write a dump");
        } else if (kind == "reset") {
            sim.reset(number(line, "cycles"));
        } else if (kind == "run") {
            for (uint64_t left = number(line, "cycles"); left; left--) sim.tick();
        } else if (kind == "write") {
            const uint32_t address = number(line, "address"), value = number(line, "value");
            const int response = sim.write_register(address, value);
            result("\"response\": " + std::to_string(response));
        } else if (kind == "read") {
            uint8_t response = 0;
            const uint32_t value = sim.read_register(number(line, "address"), response);
            result("\"value\": " + std::to_string(value) + ", \"response\": " + std::to_string(response));
        } else if (kind == "wait") {  // until the interrupt is high, at most a number of cycles
            const uint64_t limit = number(line, "limit"), start = sim.cycle;
            const uint64_t read = memory.bytes_read, written = memory.bytes_written;
            size_t reads = 0, writes = 0;
            while (!sim.interrupt() && sim.cycle - start < limit) sim.tick();
            const bool expired = !sim.interrupt();
            for (auto& port : sim.ports) reads += port.reads(), writes += port.writes();
            result("\"cycles\": " + std::to_string(sim.cycle - start) + ", \"expired\": " + (expired ? "true" : "false") +
                   ", \"bytes_read\": " + std::to_string(memory.bytes_read - read) +
                   ", \"bytes_written\": " + std::to_string(memory.bytes_written - written) +
                   ", \"reads_outstanding\": " + std::to_string(reads) +
                   ", \"writes_outstanding\": " + std::to_string(writes));
            if (expired && number(line, "stop")) stopped = "interrupt not seen in " + std::to_string(limit) + " cycles";
        } else if (kind == "error") {  // read or write, address, length, response
            const std::string direction = word(line, "direction");
            const uint64_t address = number(line, "address"), length = number(line, "length");
            memory.errors.push_back({direction == "write", address, length, uint8_t(number(line, "response"))});
        } else if (kind == "no-errors") {
            memory.errors.clear();
            for (auto& port : sim.ports) port.set_fault(Fault::NONE, 0);
        } else if (kind == "fault") {  // what, bursts that are spared, port
            const std::string name = word(line, "fault");
            const Fault fault = fault_of(name);
            if (fault == Fault::NONE) fail("unknown fault: " + name);
            const uint64_t spared = number(line, "bursts"), port = number(line, "port");
            if (port >= sim.ports.size()) fail("no port " + std::to_string(port));
            sim.ports[port].set_fault(fault, spared);
        } else if (kind == "upset") {  // memory, first word, words, bits that flip in each of them
            if (!sim.memories.known) fail("upsets need a simulator built for them");
            const std::string name = word(line, "memory");
            const uint64_t first = number(line, "first word"), count = number(line, "words");
            std::vector<uint64_t> bits;
            for (uint64_t left = number(line, "bits"); left; left--) bits.push_back(number(line, "bit"));
            if (!sim.memories.flip(name, first, count, bits)) fail("no such memory, word or bit: " + text);
        } else if (kind == "scramble") {  // seed
            if (!sim.memories.known) fail("upsets need a simulator built for them");
            sim.memories.scramble(Random{number(line, "seed")});
        } else if (kind == "memories") {
            if (!sim.memories.known) fail("upsets need a simulator built for them");
            std::string list;
            for (const auto& one : sim.memories.all())
                list += std::string(list.empty() ? "" : ", ") + "[" + json_string(one.name) + ", " +
                        std::to_string(one.words) + ", " + std::to_string(one.bits) + "]";
            result("\"memories\": [" + list + "]");
        } else if (kind == "mark") {
            sim.mark++;
        } else if (kind == "events") {
            sim.set_recording(number(line, "on or off"));
        } else if (kind == "waves") {
            std::string path;  // the rest of the line: a path may hold blanks
            if (!std::getline(line >> std::ws, path)) fail("missing file");
            sim.open_waves(path);
        } else {
            fail("unknown command: " + kind);
        }
    }
    sim.flush();

    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::ofstream report(argv[2]);
    report << "{\n  \"cycles\": " << sim.cycle << ",\n  \"seconds\": " << seconds.count()
           << ",\n  \"bytes_read\": " << memory.bytes_read << ",\n  \"bytes_written\": " << memory.bytes_written
           << ",\n  \"stopped\": " << (stopped.empty() ? "null" : json_string(stopped))
           << ",\n  \"violation_count\": " << memory.violations.count << ",\n  \"violations\": [";
    separator = "";
    for (const auto& message : memory.violations.messages) {
        report << separator << "\n    " << json_string(message);
        separator = ",";
    }
    report << "],\n  \"results\": [" << results.str() << "]\n}\n";
    return report ? 0 : 2;
}
