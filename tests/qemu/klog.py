# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
"""What a kernel's log says about its health.

Used by tests/qemu/vm and tests/run. A log is a list of lines as they came out
of the console. Nothing here runs anything.
"""

import re

# What a healthy kernel never says.
COMPLAINT = re.compile(
    "|".join((
        r"WARNING: ", r"BUG: ", r"BUG at ", r"\bOops\b", r"Kernel panic",
        # A program that does this to itself is "traps: NAME[PID] ... ip:".
        r"general protection fault(?! ip:)",
        r"Call Trace:", r"refcount_t", r"KASAN", r"KCSAN", r"UBSAN",
        r"possible (circular|recursive) locking", r"possible irq lock inversion",
        r"suspicious RCU usage", r"lock held when returning", r"bad unlock balance",
        r"held lock freed", r"INFO: task .* blocked", r"rcu: INFO:", r"soft lockup",
        r"scheduling while atomic", r"sleeping function called from",
        r"list_(add|del) corruption", r"Bad page", r"page allocation failure",
        r"invoked oom-killer", r"unreferenced object",
    ))
)

# Lines that match and that say nothing of us, and why.
HARMLESS = (
    (re.compile(r"topology_sane"), "QEMU's nodes share a cache on paper (--numa)"),
    (re.compile(r"calibrate_delay_direct\(\) failed"), "the emulated clock is not steady"),
    (re.compile(r"this is not a bug"), "part of a boot message of the IOMMU"),
    (re.compile(r"report a bug"), "part of a boot message of PCI"),
)

# Written by the guest before each program of a batch, and around the unloading.
PROGRAM = re.compile(r"vm: program (\S+)$")
DONE = re.compile(r"vm: end of programs$")
BEGIN = "vm: begin"
UNLOAD = "vm: unloading tmk"
UNLOADED = "vm: tmk unloaded"
EXIT = re.compile(r"vm: exit (\d+)$")


def read(path):
    with open(path, errors="replace") as f:
        return [line.rstrip() for line in f]


def is_harmless(line):
    return any(pattern.search(line) for pattern, _ in HARMLESS)


def complaints(lines):
    """The complaints, as lists of lines: a line, or a block that belongs together."""
    found = []
    i = 0
    while i < len(lines):
        end = i + 1
        if "[ cut here ]" in lines[i]:
            while end < len(lines) and "---[ end trace" not in lines[end - 1]:
                end += 1
        block = lines[i:end]
        if any(COMPLAINT.search(line) for line in block):
            if not any(is_harmless(line) for line in block):
                found.append(block)
        i = end
    return found


def by_program(lines):
    """The part of a batch's log that belongs to each program: {name: lines}.

    None stands for what is before the first and after the last.
    """
    parts = {None: []}
    name = None
    for line in lines:
        marker = PROGRAM.search(line)
        if marker:
            name = marker.group(1)
        elif DONE.search(line):
            name = None
        parts.setdefault(name, []).append(line)
    return parts


def noise_of_unloading(lines):
    """What the module said while it was unloaded; it ought to say nothing."""
    inside = False
    said = []
    for line in lines:
        if line.endswith(UNLOADED):
            inside = False
        if inside and "tmk" in line:
            said.append(line)
        if line.endswith(UNLOAD):
            inside = True
    return said


def since_begin(lines):
    """What the kernel said since the command began, without our own markers.

    If none did, the last words: something failed while the machine came up.
    """
    begin = max((i for i, line in enumerate(lines) if line.endswith(BEGIN)),
                default=len(lines) - 16)
    said = []
    for line in lines[begin + 1:]:
        if EXIT.search(line):
            break
        if not re.search(r"\] vm: |^vm: ", line):
            said.append(line)
    return said


def reached_init(lines):
    """Did the kernel come up, so that something of ours ran?"""
    return any("Run /init as init process" in line for line in lines)


def patched_badly(lines):
    """Did the kernel trip over code that it was patching?

    It takes the breakpoint that it put there itself for a foreign one, because the
    emulated CPUs do not see the patch at once. Nothing under test sets breakpoints.
    """
    return any(re.search(r"Oops: int3: ", line) for line in lines)


def exit_status(lines):
    """The command's exit status, or None if the machine did not get that far."""
    found = [m for m in map(EXIT.search, lines) if m]
    return int(found[-1].group(1)) if found else None
