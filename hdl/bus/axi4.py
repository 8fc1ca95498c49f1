"""AXI4 and AXI4-Lite signatures, with the names that AXI tools expect."""

from __future__ import annotations

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.validation import check_integer

AXI_ADDRESS_BITS = 64
ID_BITS = 1  # all transactions carry ID 0, so they are answered in order
PAGE_BYTES = 4096  # no burst crosses a multiple of it


class Response(enum.IntEnum, shape=2):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address_channel(prefix: str) -> dict:
    return {
        f"{prefix}id": Out(ID_BITS),
        f"{prefix}addr": Out(AXI_ADDRESS_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def read_members(data_bytes: int) -> dict:
    """Members of the read channels, seen from the master."""
    return {
        **_address_channel("ar"),
        "rid": In(ID_BITS),
        "rdata": In(8 * data_bytes),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def write_members(data_bytes: int) -> dict:
    """Members of the write channels, seen from the master."""
    return {
        **_address_channel("aw"),
        "wdata": Out(8 * data_bytes),
        "wstrb": Out(data_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AXI4Interface(wiring.PureInterface):
    """Members of an `AXI4Signature`, those of the channels that it has."""

    awid: Signal
    awaddr: Signal
    awlen: Signal
    awsize: Signal
    awburst: Signal
    awcache: Signal
    awprot: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wlast: Signal
    wvalid: Signal
    wready: Signal
    bid: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    arid: Signal
    araddr: Signal
    arlen: Signal
    arsize: Signal
    arburst: Signal
    arcache: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rid: Signal
    rdata: Signal
    rresp: Signal
    rlast: Signal
    rvalid: Signal
    rready: Signal


class AXI4Signature(wiring.Signature):
    """AXI4 master port with 64-bit addresses and one ID.

    Parameters
    ----------
    data_bytes : int, 1..128
        Bytes a beat.
    read, write : bool
        Channels that are present.

    Members: `araddr`, `arvalid`, ..., named as in the AXI4 specification, directions of a master. As a member `m_axi`
    of a component the ports are `m_axi_araddr` and so on.
    """

    def __init__(self, data_bytes: int, *, read: bool = True, write: bool = True):
        self.data_bytes = check_integer("data_bytes", data_bytes, 1, 128)
        if data_bytes & (data_bytes - 1):
            raise ValueError(f"data_bytes must be a power of two, not {data_bytes}")
        super().__init__({**(write_members(data_bytes) if write else {}), **(read_members(data_bytes) if read else {})})


class AXI4LiteInterface(wiring.PureInterface):
    """Members of an `AXI4LiteSignature`."""

    awaddr: Signal
    awprot: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arprot: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal


class AXI4LiteSignature(wiring.Signature):
    """AXI4-Lite master port with 32-bit data; use `In(...)` (or `.flip()`) for a slave.

    Parameters
    ----------
    address_bits : int, 3..64
    """

    def __init__(self, address_bits: int):
        self.address_bits = check_integer("address_bits", address_bits, 3, 64)
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


# A burst as a client of a master asks for it: the address of its first beat (a multiple of the beat size) and the
# number of beats less one.
BURST = data.StructLayout({"address": unsigned(AXI_ADDRESS_BITS), "length": unsigned(8)})


def read_beat(data_bytes: int) -> data.StructLayout:
    """A beat as the read master hands it to a client."""
    return data.StructLayout({"data": unsigned(8 * data_bytes), "response": unsigned(2), "last": 1})


def write_beat(data_bytes: int) -> data.StructLayout:
    """A beat as a client hands it to the write master."""
    return data.StructLayout({"data": unsigned(8 * data_bytes), "strobes": unsigned(data_bytes)})


def address_attributes(channel, prefix: str, data_bytes: int) -> list:
    """Constant members of an address channel: whole beats, incrementing, normal memory, unprivileged secure data."""
    size = data_bytes.bit_length() - 1
    constants = {"id": 0, "size": size, "burst": 1, "cache": 0b0011, "prot": 0}
    return [getattr(channel, f"{prefix}{name}").eq(value) for name, value in constants.items()]
