"""The themes in the order they are played. Idle memory comes first: later everything has been used."""

from bench.theme import Theme
from bench.themes.crowds import Crowd, Many, Nth
from bench.themes.daemon import Idle, Ps, Restart
from bench.themes.lifecycle import Execute, Remove, Run, Start
from bench.themes.names import Names
from bench.themes.networks import Networks
from bench.themes.ports import Connections, Publish
from bench.themes.traffic import Bridge, Published

THEMES: tuple[type[Theme], ...] = (
    Idle, Start, Run, Execute, Remove, Networks, Publish, Names, Bridge, Published, Connections, Nth, Many, Crowd,
    Restart, Ps,
)  # fmt: skip
