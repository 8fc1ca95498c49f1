"""The whole-network harness, with a copier in the accelerator's place: data, timing, stalls, errors, AXI rules."""

import numpy as np
import pytest

from tests.sim.copier import BEATS, BURST, CLEAR, CYCLES, FAULT, FAULTS, SOURCE, START, STATUS, TABLES, TARGET, Copier
from triovit.hdl.emit.verilog import emit_verilog
from triovit.sim.rtl.simulation import (
    EVENT_DONE,
    EVENT_START,
    MemoryModel,
    ProtocolError,
    RtlSimulation,
    SimulationError,
)

SOURCE_ADDRESS, TARGET_ADDRESS = 0x0FC0, 0x18F80  # bursts have to stop at 4 KiB boundaries


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with the Verilog of a copier of a data width in bytes."""
    folders = {}

    def build(data_bytes=16):
        if data_bytes not in folders:
            folders[data_bytes] = tmp_path_factory.mktemp("copier")
            names = {"clk": "aclk", "rst": "aresetn"}
            emitted = emit_verilog(Copier(data_bytes), "triovit", ports=names, reset_active_low=True, tables=TABLES)
            emitted.write(folders[data_bytes])
        return folders[data_bytes]

    return build


def copy(simulation, data, *, source=SOURCE_ADDRESS, target=TARGET_ADDRESS, limit=200_000):
    """Handles (wait, dump, status, cycles) of one copy of `data`."""
    beats, source = len(data) // simulation.data_bytes, source & -simulation.data_bytes
    simulation.load(source, data)
    simulation.mark(f"copy {beats}")
    for register, value in ((SOURCE, source), (TARGET, target), (BEATS, beats), (START, 1)):
        simulation.write_register(register, value)
    wait = simulation.wait_interrupt(limit)
    handles = [wait, simulation.dump(target, len(data))]
    handles += [simulation.read_register(STATUS), simulation.read_register(CYCLES)]
    simulation.write_register(CLEAR, 1)
    return handles


def pattern(beats, data_bytes=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, beats * data_bytes, dtype=np.uint8)


@pytest.mark.parametrize("data_bytes", [4, 16, 64, 128])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_many_copies_in_one_process(folder, data_bytes, stalls):
    memory = MemoryModel(read_latency=20, write_latency=5, stall_probability=stalls, seed=3)
    simulation = RtlSimulation(folder(data_bytes), data_bytes, memory, memory_bytes=1 << 18)
    runs = [(pattern(beats, data_bytes, beats), beats) for beats in (1, 15, 16, 17, 250, 700)]
    handles = [copy(simulation, data) for data, _ in runs]
    result = simulation.execute()
    for (data, beats), (wait, dump, status, cycles) in zip(runs, handles, strict=True):
        assert np.array_equal(result[dump], data)
        assert result[status] == 0
        assert result[wait].bytes_read == result[wait].bytes_written == beats * data_bytes
        assert result[wait].reads_outstanding == result[wait].writes_outstanding == 0
        assert result[wait].cycles <= result[cycles] + 2 <= result.finished_at[wait]
    assert result.bytes_read == sum(len(data) for data, _ in runs)
    assert set(result.events["mark"]) == set(range(1, len(runs) + 1))
    assert result.marks == [f"copy {beats}" for _, beats in runs]


def test_events_name_unit_cycle_and_index(folder):
    simulation = RtlSimulation(folder(), 16, MemoryModel(read_latency=10), memory_bytes=1 << 18)
    wait = copy(simulation, pattern(4 * BURST), source=0x1000, target=0x8000)[0]
    result = simulation.execute()
    loads, stores = result.events_of("load", EVENT_START), result.events_of("store", EVENT_DONE)
    assert loads[:, 1].tolist() == stores[:, 1].tolist() == [0, 1, 2, 3]
    assert np.all(np.diff(loads[:, 0]) > 0) and np.all(stores[:, 0] > loads[:, 0])
    begin = result.finished_at[wait] - result[wait].cycles
    assert begin - 8 < loads[0, 0] and stores[-1, 0] < result.finished_at[wait]
    assert len(result.events) == 8


def test_latency_and_bandwidth_cost_what_they_say(folder):
    def cycles(beats=512, **timing):
        simulation = RtlSimulation(folder(), 16, MemoryModel(**timing), memory_bytes=1 << 18)
        handles = copy(simulation, pattern(beats), source=0x1000, target=0x8000)
        return simulation.execute()[handles[3]]

    assert cycles(1, read_latency=101, write_latency=1) - cycles(1, read_latency=1, write_latency=1) == 100
    assert cycles(1, read_latency=1, write_latency=81) - cycles(1, read_latency=1, write_latency=1) == 80
    free = cycles(read_latency=4, write_latency=4)
    shared = cycles(read_latency=4, write_latency=4, bytes_per_cycle=16)
    slow = cycles(read_latency=4, write_latency=4, bytes_per_cycle=4)
    assert 512 < free < 800  # a beat of each in a cycle, and the copier's gaps
    assert 1024 <= shared < 1150  # one beat of either in a cycle
    assert 4096 <= slow < 4200
    assert cycles(stall_probability=0.5) > 2 * free


def test_runs_repeat_and_seeds_differ(folder):
    def events(seed):
        memory = MemoryModel(stall_probability=0.3, seed=seed)
        simulation = RtlSimulation(folder(), 16, memory, memory_bytes=1 << 18)
        copy(simulation, pattern(200))
        return simulation.execute().events

    assert np.array_equal(events(1), events(1))
    assert not np.array_equal(events(1), events(2))


def test_injected_errors_and_addresses_outside(folder):
    simulation = RtlSimulation(folder(), 16, memory_bytes=1 << 17)
    data = pattern(64)
    simulation.inject_error("read", SOURCE_ADDRESS + 100, 1)
    read = copy(simulation, data)
    simulation.clear_errors()
    good = copy(simulation, data)
    simulation.inject_error("write", TARGET_ADDRESS + 512, 16, "DECERR")
    simulation.load(TARGET_ADDRESS + 512, bytes(16))
    write = copy(simulation, data)
    simulation.clear_errors()
    for register, value in ((SOURCE, (1 << 17) - 64), (TARGET, 0), (BEATS, 8), (START, 1)):
        simulation.write_register(register, value)
    simulation.wait_interrupt(10_000)
    outside = simulation.read_register(STATUS)
    result = simulation.execute()
    assert [result[handle] for handle in (read[2], good[2], write[2], outside)] == [2, 0, 2, 2]
    assert np.array_equal(result[good[1]], data)
    unwritten = result[write[1]].copy()
    assert not unwritten[512:528].any()
    unwritten[512:528] = data[512:528]
    assert np.array_equal(unwritten, data)


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_rules_are_reported(folder, fault):
    simulation = RtlSimulation(folder(), 16, MemoryModel(stall_probability=0.5), memory_bytes=1 << 18)
    simulation.write_register(FAULT, FAULTS[fault])
    copy(simulation, pattern(100))
    message = {
        "crossing": "crosses 4 KiB", "last": "W: wlast", "unstable": "AR: payload changed",
        "prot": "AR: payload changed", "id": "AR: ID is not 0", "cache": "AW: payload changed",
        "strobes": "W: payload changed",
    }[fault]  # fmt: skip
    with pytest.raises(ProtocolError, match=message):
        simulation.execute()
    assert any(message in line for line in simulation.execute(check=False).violations)


def test_interrupt_that_never_comes(folder):
    simulation = RtlSimulation(folder(), 16, memory_bytes=1 << 17)
    handle = simulation.wait_interrupt(1000, stop=False)
    simulation.reset()
    after = copy(simulation, pattern(3))
    result = simulation.execute()
    assert result[handle].expired and result[handle].cycles == 1000
    assert np.array_equal(result[after[1]], pattern(3))
    simulation.wait_interrupt(1000)
    with pytest.raises(SimulationError, match="interrupt not seen in 1000 cycles"):
        simulation.execute()


def test_soft_state_survives_a_reset_in_the_middle(folder):
    simulation = RtlSimulation(folder(), 16, MemoryModel(read_latency=50), memory_bytes=1 << 18)
    for register, value in ((SOURCE, 0), (TARGET, 0x8000), (BEATS, 500), (START, 1)):
        simulation.write_register(register, value)
    simulation.run(150)
    simulation.reset()
    after = copy(simulation, pattern(40))
    assert np.array_equal(simulation.execute()[after[1]], pattern(40))


def test_illegal_settings_name_the_parameter(tmp_path):
    with pytest.raises(ValueError, match="read_latency must be at least 1, not 0"):
        MemoryModel(read_latency=0)
    with pytest.raises(ValueError, match="stall_probability"):
        MemoryModel(stall_probability=1.0)
    with pytest.raises(ValueError, match=r"bytes_per_cycle must be at least 0\.0009765625, not 0\.0005"):
        MemoryModel(bytes_per_cycle=0.0005)
    for base in (0x100, -4096, 1 << 64):
        with pytest.raises(ValueError, match=r"base must be a multiple of 4096 below 2\*\*64, not"):
            MemoryModel(base=base)
    with pytest.raises(ValueError, match="data_bytes must be 4, 8, 16, 32, 64 or 128, not 12"):
        RtlSimulation(tmp_path, 12)
    with pytest.raises(FileNotFoundError, match="no Verilog file"):
        RtlSimulation(tmp_path, 16)
    (tmp_path / "triovit.v").write_text("module triovit; endmodule")
    (tmp_path / "triovit.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"triovit.json must be the map .* with its units"):
        RtlSimulation(tmp_path, 16)


def test_waves(folder, tmp_path):
    waves = tmp_path / "run.vcd"
    simulation = RtlSimulation(folder(), 16, memory_bytes=1 << 18, waves=waves)
    dump = copy(simulation, pattern(4))[1]
    assert np.array_equal(simulation.execute()[dump], pattern(4))
    text = waves.read_text()
    assert "m_axi_araddr" in text and "$enddefinitions" in text and len(text) > 10_000
