"""What rtnetlink(7) messages say about the shaping of a link's traffic. Pure; see `rtnl`."""

import socket
import struct

from landbridge.system.nlwire import attribute, nested, text, u32

RTM_NEWQDISC = 36
_TC_H_ROOT = 0xFFFFFFFF
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_TBF_PARMS, _TCA_TBF_RATE64, _TCA_TBF_BURST = 1, 4, 6
_LINKLAYER_ETHERNET = 1
_QDISC = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_TBF = struct.Struct("=BBHhHI 12x III")  # one tc_ratespec, no peak rate, limit, buffer, mtu


def shaped(index: int, rate: int) -> bytes:
    """A token bucket of `rate` bytes per second at the root of a link (sch_tbf); what waits over 0.1 s is dropped."""
    burst = max(1 << 15, rate // 100)
    limit = burst + rate // 10
    spec = _TBF.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate, 0xFFFFFFFF), limit, 0, 0)
    wide = attribute(_TCA_TBF_RATE64, struct.pack("=Q", rate)) if rate > 0xFFFFFFFF else b""
    options = nested(_TCA_OPTIONS, attribute(_TCA_TBF_PARMS, spec), wide, u32(_TCA_TBF_BURST, burst))
    return _QDISC.pack(socket.AF_UNSPEC, index, 1 << 16, _TC_H_ROOT, 0) + text(_TCA_KIND, "tbf") + options
