// AXI4 memory behind the accelerator's master ports: latency, bandwidth that reads and writes of a port share, random
// stalls, injected errors, rules that it breaks itself on demand, and the protocol rules a master has to keep. The ports
// share the bytes and nothing else. One ID, in-order responses. A cycle is: drive() sets the memory's outputs, the
// design settles, sample() looks at both sides' outputs, which is what the next clock edge will see, and edge() follows
// that.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

struct Random {  // splitmix64: small, seeded, the same on every machine
    uint64_t state = 0;
    uint64_t next() {
        uint64_t z = (state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
};

// Stalls of one channel. The threshold is the probability times 2^32.
struct Staller {
    Random random;
    uint64_t threshold = 0;
    void set(uint64_t seed, uint64_t channel, uint64_t value) {
        random.state = seed * 0x2545f4914f6cdd1dull + channel;
        threshold = value;
    }
    bool stalled() { return threshold && (random.next() >> 32) < threshold; }
};

struct Violations {
    std::vector<std::string> messages;
    uint64_t count = 0;
    void add(uint64_t cycle, const std::string& text) {
        if (count++ < 100) messages.push_back("cycle " + std::to_string(cycle) + ": " + text);
    }
};

// A valid/ready channel seen from outside: valid must stay, payload frozen, until the transfer.
template <typename Payload>
class ChannelRule {
    bool waiting_ = false;
    Payload payload_{};

  public:
    void check(bool valid, bool ready, const Payload& payload, const std::string& name, uint64_t cycle,
               Violations& out) {
        if (waiting_ && !valid) out.add(cycle, name + ": valid withdrawn before ready");
        if (waiting_ && valid && std::memcmp(&payload, &payload_, sizeof(Payload)) != 0)
            out.add(cycle, name + ": payload changed while valid waited for ready");
        waiting_ = valid && !ready;
        if (waiting_) payload_ = payload;
    }
    bool waiting() const { return waiting_; }
    void reset() { waiting_ = false; }
};

enum Response : uint8_t { OKAY = 0, EXOKAY = 1, SLVERR = 2, DECERR = 3 };

// Rules that the memory can break, and ways not to answer. Names: `fault_of`.
enum class Fault {
    NONE,
    EARLY_LAST,    // RLAST on the first of several beats, which ends the burst
    LATE_LAST,     // no RLAST on the last beat, but on one more
    READ_ID,       // a beat of another ID
    READ_EXOKAY,   // a beat of an exclusive access
    STRAY_BEAT,    // a beat that no burst asked for
    WRITE_ID,      // a response of another ID
    WRITE_EXOKAY,  // a response to an exclusive access
    STRAY_ANSWER,  // a response to no burst
    EARLY_ANSWER,  // a response before the burst's data
    MUTE_READS,    // no beats any more
    MUTE_WRITES,   // no responses any more
    DEAF           // no address and no data is taken any more
};

inline Fault fault_of(const std::string& name) {
    static const char* const names[] = {"early-last",   "late-last",    "read-id",      "read-exokay",
                                        "stray-beat",   "write-id",     "write-exokay", "stray-answer",
                                        "early-answer", "mute-reads",   "mute-writes",  "deaf"};
    for (int i = 0; i < 12; i++)
        if (name == names[i]) return Fault(i + 1);
    return Fault::NONE;
}

struct ErrorRegion {
    bool write;
    uint64_t address, length;
    uint8_t response;
};

struct MemorySettings {
    uint64_t read_latency = 1;        // cycles from the AR transfer to the first R beat on offer
    uint64_t write_latency = 1;       // cycles from the last W transfer to B on offer
    uint64_t tokens_per_cycle = 0;    // bytes per cycle * 1024, reads and writes together; 0: no limit
    uint64_t stall_threshold = 0;     // probability * 2^32, each channel for itself
    uint64_t seed = 1;
    uint64_t outstanding = 32;        // bursts accepted and not finished, in each direction
};

// What all ports see.
struct Storage {
    std::vector<uint8_t> bytes;
    uint64_t base = 0;
    std::vector<ErrorRegion> errors;
    Violations violations;
    uint64_t bytes_read = 0, bytes_written = 0;  // transferred on R, and written according to the strobes
};

// X(master, pin) for every pin of a master.
#define AXI_PINS(X, master)                                                                                      \
    X(master, awid) X(master, awaddr) X(master, awlen) X(master, awsize) X(master, awburst) X(master, awcache)   \
    X(master, awprot) X(master, awvalid) X(master, awready) X(master, wdata) X(master, wstrb) X(master, wlast)   \
    X(master, wvalid) X(master, wready) X(master, bid) X(master, bresp) X(master, bvalid) X(master, bready)      \
    X(master, arid) X(master, araddr) X(master, arlen) X(master, arsize) X(master, arburst) X(master, arcache)   \
    X(master, arprot) X(master, arvalid) X(master, arready) X(master, rid) X(master, rdata) X(master, rresp)     \
    X(master, rlast) X(master, rvalid) X(master, rready)

// A port of the memory. Pins: references to a master's pins, named as above.
template <typename Pins, int BYTES>
class AxiMemory {
    struct Address {
        uint64_t address;
        uint32_t beats;
        uint8_t size, burst, cache, protection, id;
        uint8_t padding[7];
    };
    // Bytes only, so that there is no padding between the members and payloads can be compared as a whole.
    struct Beat {
        uint8_t data[BYTES];
        uint8_t strobes[BYTES < 8 ? 1 : BYTES / 8];
        uint8_t last;
        bool strobe(int byte) const { return strobes[byte / 8] >> byte % 8 & 1; }
    };
    struct Burst {
        uint64_t address, ready;
        uint32_t beats, done;
        bool answered;  // before its data
    };
    struct WriteResponse {
        uint64_t ready;
        uint8_t response;
    };

    Pins pins_;
    Storage& storage_;
    int port_;
    std::string name_;  // of the port, in front of what it does wrong; empty when there is one
    bool drop_r_ = false, drop_b_ = false;  // the memory's own valid signals go low with the edge
    MemorySettings settings_;
    std::deque<Burst> reads_, writes_;
    std::deque<Beat> beats_;  // write data, which may come before its address
    std::deque<WriteResponse> responses_;
    uint64_t tokens_ = 0;
    uint8_t write_response_ = OKAY;
    bool read_last_served_ = false;
    Fault fault_ = Fault::NONE;
    uint64_t spared_ = 0;               // bursts of the fault's direction that it leaves alone
    uint64_t reads_over_ = 0, writes_over_ = 0;  // bursts that have ended since the fault was set
    bool stray_ = false, ends_ = false;  // the beat on offer belongs to no burst; it ends its burst
    bool stray_answer_ = false;
    Staller stall_[5];
    ChannelRule<Address> ar_rule_, aw_rule_;
    ChannelRule<Beat> w_rule_;

    // The fault strikes at a burst, the oldest one, once as many as are spared have ended.
    bool strikes(Fault fault, uint64_t over) const { return fault_ == fault && over >= spared_; }

    static constexpr uint64_t COST = uint64_t(BYTES) * 1024;

    void violate(uint64_t cycle, const std::string& text) { storage_.violations.add(cycle, name_ + text); }

    uint8_t response_at(bool write, uint64_t address) const {
        if (address < storage_.base || address - storage_.base + BYTES > storage_.bytes.size()) return DECERR;
        for (const auto& region : storage_.errors)
            if (region.write == write && address < region.address + region.length && region.address < address + BYTES)
                return region.response;
        return OKAY;
    }

    Address address_of(bool write) const {
        Address a{};
        a.address = write ? pins_.awaddr : pins_.araddr;
        a.beats = 1u + (write ? pins_.awlen : pins_.arlen);
        a.size = write ? pins_.awsize : pins_.arsize;
        a.burst = write ? pins_.awburst : pins_.arburst;
        a.cache = write ? pins_.awcache : pins_.arcache;
        a.protection = write ? pins_.awprot : pins_.arprot;
        a.id = write ? pins_.awid : pins_.arid;
        return a;
    }

    Beat write_beat() const {
        Beat beat{};
        std::memcpy(beat.data, &pins_.wdata, BYTES);
        std::memcpy(beat.strobes, &pins_.wstrb, sizeof beat.strobes);
        beat.last = pins_.wlast;
        return beat;
    }

    void check_address(const Address& a, const char* name, uint64_t cycle) {
        const std::string channel(name);
        if (a.id != 0) violate(cycle, channel + ": ID is not 0, though answers come in order");
        if (a.burst != 1) violate(cycle, channel + ": burst type is not INCR");
        if ((1u << a.size) != BYTES) violate(cycle, channel + ": size is not the data width");
        const uint64_t first = a.address & ~uint64_t(BYTES - 1);
        const uint64_t final = first + uint64_t(a.beats) * BYTES - 1;
        if (first >> 12 != final >> 12) {
            char text[96];
            std::snprintf(text, sizeof text, ": burst of %u beats at 0x%llx crosses 4 KiB", a.beats,
                          (unsigned long long)a.address);
            violate(cycle, channel + text);
        }
    }

    void accept_beats(uint64_t cycle) {
        while (!beats_.empty() && !writes_.empty()) {
            Burst& burst = writes_.front();
            const Beat& beat = beats_.front();
            const uint64_t address = (burst.address & ~uint64_t(BYTES - 1)) + uint64_t(burst.done) * BYTES;
            const int unaligned = burst.done ? 0 : int(burst.address & (BYTES - 1));
            for (int i = 0; i < unaligned; i++)
                if (beat.strobe(i)) {
                    violate(cycle, "W: strobe below the start address");
                    break;
                }
            const uint8_t response = response_at(true, address);
            if (response > write_response_) write_response_ = response;
            if (response == OKAY)
                for (int i = 0; i < BYTES; i++)
                    if (beat.strobe(i)) storage_.bytes[address - storage_.base + i] = beat.data[i];
            burst.done++;
            const bool final = burst.done == burst.beats;
            if (final != bool(beat.last)) violate(cycle, final ? "W: wlast missing" : "W: wlast too early");
            beats_.pop_front();
            if (final) {
                if (!burst.answered) responses_.push_back({cycle + settings_.write_latency, write_response_});
                write_response_ = OKAY;
                writes_.pop_front();
            }
        }
    }

  public:
    AxiMemory(const Pins& pins, Storage& storage, int port, const std::string& name)
        : pins_(pins), storage_(storage), port_(port), name_(name) {
        reset();
    }

    void configure(const MemorySettings& settings) {
        settings_ = settings;
        for (int channel = 0; channel < 5; channel++)
            stall_[channel].set(settings.seed, 5 * port_ + channel, settings.stall_threshold);
    }

    void set_fault(Fault fault, uint64_t spared) {
        fault_ = fault, spared_ = spared;
        reads_over_ = writes_over_ = 0;
    }

    bool idle() const { return reads_.empty() && writes_.empty() && beats_.empty() && responses_.empty(); }
    size_t reads() const { return reads_.size(); }
    size_t writes() const { return writes_.size() + responses_.size(); }

    void reset() {
        reads_.clear(), writes_.clear(), beats_.clear(), responses_.clear();
        tokens_ = 0;
        write_response_ = OKAY;
        ar_rule_.reset(), aw_rule_.reset(), w_rule_.reset();
        pins_.arready = pins_.awready = pins_.wready = 0;
        pins_.rvalid = pins_.bvalid = 0;
        pins_.rresp = pins_.bresp = pins_.rlast = 0;
        pins_.rid = pins_.bid = 0;
    }

    void drive(uint64_t cycle) {
        if (settings_.tokens_per_cycle) {
            tokens_ += settings_.tokens_per_cycle;
            const uint64_t most = std::max(2 * COST, settings_.tokens_per_cycle);
            if (tokens_ > most) tokens_ = most;
        } else {
            tokens_ = 2 * COST;
        }
        const bool deaf = strikes(Fault::DEAF, reads_over_);
        pins_.arready = reads_.size() < settings_.outstanding && !stall_[0].stalled() && !deaf;
        pins_.awready = writes() < settings_.outstanding && !stall_[1].stalled() && !deaf;
        // Reads and writes that both want the last tokens take turns.
        bool read = !pins_.rvalid && !reads_.empty() && cycle >= reads_.front().ready && !stall_[3].stalled();
        bool write = pins_.wvalid && beats_.size() < 512 && !stall_[2].stalled() && !deaf;
        if (strikes(Fault::MUTE_READS, reads_over_)) read = false;
        if (read && write && tokens_ < 2 * COST) (read_last_served_ ? read : write) = false;
        read = read && tokens_ >= COST;
        write = write && tokens_ >= COST;
        if (read != write) read_last_served_ = read;
        pins_.wready = write;
        if (read) {
            const Burst& burst = reads_.front();
            const uint64_t address = (burst.address & ~uint64_t(BYTES - 1)) + uint64_t(burst.done) * BYTES;
            const bool last = burst.done + 1 >= burst.beats;
            const bool first = burst.done == 0;
            pins_.rresp = response_at(false, address);
            if (pins_.rresp == DECERR)
                std::memset(&pins_.rdata, 0xdb, BYTES);  // no memory there
            else
                std::memcpy(&pins_.rdata, &storage_.bytes[address - storage_.base], BYTES);
            ends_ = last, stray_ = false;
            pins_.rid = 0;
            if (first && !last && strikes(Fault::EARLY_LAST, reads_over_)) {
                ends_ = true, fault_ = Fault::NONE;
            } else if (burst.done + 1 == burst.beats && strikes(Fault::LATE_LAST, reads_over_)) {
                ends_ = false, fault_ = Fault::NONE;
            } else if (strikes(Fault::READ_ID, reads_over_)) {
                pins_.rid = 1, fault_ = Fault::NONE;
            } else if (strikes(Fault::READ_EXOKAY, reads_over_)) {
                pins_.rresp = EXOKAY, fault_ = Fault::NONE;
            }
            pins_.rlast = ends_;
            pins_.rvalid = 1;
            tokens_ -= COST;
        } else if (!pins_.rvalid && reads_.empty() && !pins_.arvalid &&
                   strikes(Fault::STRAY_BEAT, reads_over_)) {
            std::memset(&pins_.rdata, 0xdb, BYTES);
            pins_.rresp = OKAY, pins_.rid = 0;
            pins_.rlast = pins_.rvalid = 1;
            stray_ = true, fault_ = Fault::NONE;
        }
        if (!pins_.bvalid && !responses_.empty() && cycle >= responses_.front().ready && !stall_[4].stalled() &&
            !strikes(Fault::MUTE_WRITES, writes_over_)) {
            pins_.bvalid = 1;
            pins_.bresp = responses_.front().response;
            pins_.bid = 0;
            stray_answer_ = false;
            if (strikes(Fault::WRITE_ID, writes_over_)) {
                pins_.bid = 1, fault_ = Fault::NONE;
            } else if (strikes(Fault::WRITE_EXOKAY, writes_over_)) {
                pins_.bresp = EXOKAY, fault_ = Fault::NONE;
            }
        } else if (!pins_.bvalid && !writes() && !pins_.awvalid &&
                   strikes(Fault::STRAY_ANSWER, writes_over_)) {
            pins_.bvalid = 1;
            pins_.bresp = pins_.bid = 0;
            stray_answer_ = true, fault_ = Fault::NONE;
        }
    }

    void sample(uint64_t cycle) {
        if (pins_.arvalid || ar_rule_.waiting())
            ar_rule_.check(pins_.arvalid, pins_.arready, address_of(false), name_ + "AR", cycle, storage_.violations);
        if (pins_.awvalid || aw_rule_.waiting())
            aw_rule_.check(pins_.awvalid, pins_.awready, address_of(true), name_ + "AW", cycle, storage_.violations);
        if (pins_.wvalid || w_rule_.waiting())
            w_rule_.check(pins_.wvalid, pins_.wready, write_beat(), name_ + "W", cycle, storage_.violations);
        if (pins_.arvalid && pins_.arready) {
            const Address a = address_of(false);
            check_address(a, "AR", cycle);
            reads_.push_back({a.address, cycle + settings_.read_latency, a.beats, 0, false});
        }
        if (pins_.awvalid && pins_.awready) {
            const Address a = address_of(true);
            check_address(a, "AW", cycle);
            const bool early = beats_.empty() && strikes(Fault::EARLY_ANSWER, writes_over_);
            if (early) responses_.push_back({cycle + 1, OKAY}), fault_ = Fault::NONE;
            writes_.push_back({a.address, 0, a.beats, 0, early});
        }
        if (pins_.wvalid && pins_.wready) {
            const Beat beat = write_beat();
            beats_.push_back(beat);
            for (int i = 0; i < BYTES; i++) storage_.bytes_written += beat.strobe(i);
            tokens_ -= tokens_ < COST ? tokens_ : COST;
        }
        accept_beats(cycle);
        drop_r_ = pins_.rvalid && pins_.rready;
        if (drop_r_) {
            storage_.bytes_read += BYTES;
            if (!stray_) reads_.front().done++;
            if (!stray_ && ends_) reads_.pop_front(), reads_over_++;
        }
        drop_b_ = pins_.bvalid && pins_.bready;
        if (drop_b_ && !stray_answer_) responses_.pop_front(), writes_over_++;
    }

    void edge() {
        if (drop_r_) pins_.rvalid = 0;
        if (drop_b_) pins_.bvalid = 0;
        drop_r_ = drop_b_ = false;
    }

    // In reset a master must not offer anything.
    void sample_reset(uint64_t cycle) {
        if (pins_.arvalid) violate(cycle, "AR: valid during reset");
        if (pins_.awvalid) violate(cycle, "AW: valid during reset");
        if (pins_.wvalid) violate(cycle, "W: valid during reset");
    }
};
