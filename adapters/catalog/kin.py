"""What models of one name have in common, whoever serves them: class, family, open weights.

Routing compares hosts of one model by these and calls them the same, so each is said once, here. A
provider's file takes a row whole and adds what is its own: the id, the window, what its API takes.
Those may differ from host to host, since a host may quantise a model, or leave a part of it out.

The class is ours, docs/catalog.md says how it is found. Weights are open where the maker has
published them under the model's name.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypedDict


class Kin(TypedDict):
    """Fields of `Model` that are the same at every host."""

    same_as: str
    quality: int
    family: str
    open_weights: bool


_TABLE: Final = """
claude-opus-5-5     4  claude    closed
claude-sonnet-5-5   3  claude    closed
claude-haiku-5-5    1  claude    closed
deepseek-v4-pro     3  deepseek  open
deepseek-v4.1-flash 2  deepseek  open
gemini-4-argon      4  gemini    closed
gemini-3.8-flash    2  gemini    closed
glm-5.3             3  glm       open
glm-5.3-flash       1  glm       open
gpt-6-astra         4  gpt       closed
gpt-6.1-sol         4  gpt       closed
gpt-6.1-terra       3  gpt       closed
gpt-6-luna          1  gpt       closed
gpt-oss-120b        2  gpt-oss   open
gpt-oss-20b         1  gpt-oss   open
grok-4.7            4  grok      closed
grok-4.3            3  grok      closed
kimi-k3             4  kimi      open
kimi-k3.1-pro       4  kimi      closed
kimi-k2.7-code      3  kimi      open
kimi-k2.6           2  kimi      open
llama-3.3-70b       1  llama     open
qwen3.8-max         4  qwen      closed
qwen3.7-plus        3  qwen      closed
qwen3.8-27b         2  qwen      open
qwen3.8-flash       1  qwen      closed
"""


def _rows(table: str) -> Iterator[tuple[str, Kin]]:
    for line in table.strip().splitlines():
        name, quality, family, weights = line.split()
        yield (
            name,
            Kin(same_as=name, quality=int(quality), family=family, open_weights=weights == "open"),
        )


KIN: Final[Mapping[str, Kin]] = MappingProxyType(dict(_rows(_TABLE)))
"""The model's name, which is nobody's id in particular -> what is the same everywhere."""
