"""Commands of the simulated hosts about the machine: memory, processors, clock, addresses."""

from __future__ import annotations

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output


def _letters(context: Context) -> str:
    return "".join(w.lstrip("-") for w in context.args if w.startswith("-") and not w.startswith("--"))


@command("free")
async def free(context: Context) -> Output:
    letters = _letters(context)
    unit = 1 << 20 if "m" in letters else 1 << 10 if "b" not in letters else 1
    total = context.host.memory // unit
    used = total * 2 // 5
    return Output(
        out="               total        used        free      shared  buff/cache   available\n"
        f"Mem:    {total:>12}{used:>12}{total // 5:>12}{total // 100:>12}{total // 3:>12}{total - used:>12}\n"
        f"Swap:   {0:>12}{0:>12}{0:>12}\n"
    )


@command("nproc")
async def nproc(context: Context) -> Output:
    return Output(out=f"{context.host.cpus}\n")


@command("timedatectl")
async def timedatectl(context: Context) -> Output:
    synchronised = abs(context.host.clock_offset) < 1
    if context.args[:1] == ["show"]:
        wanted = next((w for w in context.args if w.startswith("--property=")), "")
        answer = "yes" if synchronised else "no"
        value = answer if "--value" in context.args else f"NTPSynchronized={answer}"
        return Output(
            out=f"{value}\n" if "NTPSynchronized" in wanted else f"Timezone=Etc/UTC\nNTPSynchronized={answer}\n"
        )
    return Output(
        out="                Time zone: Etc/UTC (UTC, +0000)\n"
        f"System clock synchronized: {'yes' if synchronised else 'no'}\n"
        "              NTP service: active\n"
    )
