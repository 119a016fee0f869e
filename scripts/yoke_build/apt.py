# SPDX-License-Identifier: GPL-2.0
"""Fetches and installs Debian packages, also from suites that the machine's own apt sources do not name.

The package lists and the source files are our own, derived from the mirror and the keys that the machine
already trusts: nothing of the system's apt state changes but the packages that are asked for.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cache, progress
from .errors import BuildError

SUPPORTED = {"12": "bookworm", "13": "trixie"}
FETCH_TIMEOUT_S = 900


@dataclass(frozen=True)
class Source:
    """A Debian archive and the suites that are read from it."""

    uri: str
    suites: str
    signed_by: str

    def stanza(self) -> str:
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {self.suites}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def release() -> str:
    """The Debian release number, "12" or "13"; raises BuildError on anything else."""
    fields: dict[str, str] = {}
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        text = ""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields[name] = value.strip('"')
    version = fields.get("VERSION_ID", "")
    if fields.get("ID") != "debian" or version not in SUPPORTED:
        name = fields.get("PRETTY_NAME", "an unknown system")
        raise BuildError(
            f"this needs Debian 12 or 13, and this is {name}",
            "use a Debian 12 or 13 machine or container, or build against an own kernel tree with KDIR=",
        )
    return version


def _machine_sources(etc: Path) -> list[Source]:
    """The binary sources of the machine, of both formats of apt."""
    found: list[Source] = []
    parts = etc / "sources.list.d"
    for file in sorted(parts.glob("*.sources")) if parts.is_dir() else []:
        for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = dict(line.split(":", 1) for line in lines if ":" in line and line[0] not in " \t")
            get = {name.strip().lower(): value.strip() for name, value in fields.items()}.get
            if "deb" in get("types", "").split() and get("uris"):
                found.append(Source(get("uris", "").split()[0], get("suites", ""), get("signed-by", "")))
    one_line = [etc / "sources.list", *(sorted(parts.glob("*.list")) if parts.is_dir() else [])]
    for file in one_line:
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
            if match := re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)", line):
                options = dict(o.split("=", 1) for o in (match[1] or "").split() if "=" in o)
                found.append(Source(match[2], match[3], options.get("signed-by", "")))
    return found


def _of_this_release(etc: Path) -> tuple[Source, list[Source]]:
    """(the main archive, all sources of this Debian release, security updates and the like included)."""
    codename = SUPPORTED[release()]
    own = [s for s in _machine_sources(etc) if any(n.split("-")[0] == codename for n in s.suites.split())]
    for source in own:
        if codename in source.suites.split():
            return source, own
    raise BuildError(
        f"no apt source of this machine lists Debian's {codename}",
        "add the Debian archive to the apt sources",
    )


def newer(etc: Path = Path("/etc/apt")) -> Archive:
    """Debian 13 and its backports, to download single files from."""
    main, _ = _of_this_release(etc)
    return Archive("newer", [Source(main.uri, "trixie trixie-backports", main.signed_by)])


def own(etc: Path = Path("/etc/apt")) -> Archive:
    """This machine's release and its backports, to install from."""
    main, sources = _of_this_release(etc)
    backports = Source(main.uri, f"{SUPPORTED[release()]}-backports", main.signed_by)
    return Archive("own", [*sources, backports])


class Archive:
    """A view of Debian's archive with package lists in the cache."""

    def __init__(self, name: str, sources: list[Source]) -> None:
        self._dir = cache.root() / "apt" / name
        for part in ("lists/partial", "cache/archives/partial", "empty"):
            (self._dir / part).mkdir(parents=True, exist_ok=True)
        list_file = self._dir / "yoke.sources"
        list_file.write_text("\n".join(source.stanza() for source in sources), encoding="utf-8")
        self._conf = self._dir / "yoke.conf"
        self._conf.write_text(
            f"""Dir::Etc::sourcelist "{list_file}";
Dir::Etc::sourceparts "{self._dir}/empty";
Dir::State::lists "{self._dir}/lists";
Dir::Cache "{self._dir}/cache";
APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "false";
DPkg::Lock::Timeout "300";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
""",
            encoding="utf-8",
        )
        self._updated = False

    def options(self) -> list[str]:
        """Options that keep apt away from the system's sources, lists and caches."""
        return ["-qq", "-c", str(self._conf)]

    def update(self) -> None:
        """Reads the package lists, once per process."""
        if not self._updated:
            self._run(["apt-get", *self.options(), "update"], "reading Debian's package lists")
            self._updated = True

    def versions(self, package: str) -> list[str]:
        """Versions of `package`, newest first."""
        self.update()
        text = self._run(["apt-cache", *self.options(), "madison", package], f"looking up {package}")
        return [line.split("|")[1].strip() for line in text.splitlines() if line.count("|") >= 2]

    def download(self, package: str, version: str, into: Path) -> Path:
        """Downloads one package file; `into` gets it whole or not at all."""
        work = cache.fresh_dir(into / f".{package}.partial")
        command = ["apt-get", *self.options(), "download", f"{package}={version}"]
        self._run(command, f"downloading {package} {version}", cwd=work)
        (file,) = work.glob("*.deb")
        final = file.rename(into / file.name)
        work.rmdir()
        return final

    def install(self, packages: list[str], *, suite: str = "") -> None:
        """Installs packages with what they depend on. Needs root."""
        self.update()
        command = ["apt-get", *self.options(), "-y", "--no-install-recommends"]
        command += ["-o", "Dpkg::Use-Pty=0", *(["-t", suite] if suite else []), "install", *packages]
        progress.run(
            command,
            title=f"installing {len(packages)} Debian packages and what they need",
            step=r"(Unpacking|Setting up) ",
            log=cache.root() / "log" / "apt.log",
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )

    @staticmethod
    def _run(command: list[str], doing: str, cwd: Path | None = None) -> str:
        try:
            result = subprocess.run(
                command, cwd=cwd, text=True, capture_output=True, timeout=FETCH_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(
                f"{doing}: nothing after {FETCH_TIMEOUT_S} s", "look at the network, then again"
            ) from error
        if result.returncode != 0:
            raise BuildError(f"{doing}: {result.stderr.strip() or 'apt failed'}", "look at the network, then again")
        return result.stdout
