"""Prices that the packaged list lacks, each with its source and the day it was read.

They count only where genai-prices 0.2.3 says nothing of its own: it has no DashScope, Hugging
Face's router only by host, of Azure's open models only what their makers ask, and only a part of
what Perplexity passes on. The sources are litellm's list, whose rows name the pages that they were
taken from (Alibaba's models page, Azure's retail prices, Perplexity's models page), and for the
router what genai-prices lists of its hosts.

Which host the router picks is not known beforehand, so its plain ids carry the dearest host's input
and the dearest host's output: a cap that is kept by them is kept.

A row: the model, then US dollars per million tokens of input, cached input and output; a larger
request's tier as the input above which it holds and the same three. `-` is: none stated.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from adapters.catalog.price import Price, Rates, Tier

_READ: Final = date(2026, 11, 23)

_LITELLM: Final = "litellm 1.109.1"
_HOSTS: Final = "genai-prices 0.2.3, by host"

_DASHSCOPE: Final = """
qwen3.8-max        2     0.25   6
qwen3.7-plus       0.4   0.08   1.6    256000 1.2 0.24 4.8
qwen3.8-flash      0.15  0.016  0.47
deepseek-v4-pro    2.4   0.2    4.8
deepseek-v4-flash  0.2   0.04   0.4
glm-5.2            1.4   0.28   4.4
kimi-k2.7-code     0.95  0.19   4
"""

# Azure bills OpenAI's models as OpenAI does, and those are in the packaged list. `FW-` is what
# Fireworks runs there, some of it at its own price.
_AZURE: Final = """
FW-Kimi-K3                              3      0.3    15
FW-GLM-5.3                              1.75   0.325  5.5
FW-GLM-5.3-Flash                        0.188  0.038  0.625
FW-DeepSeek-V4.1-Flash                  0.375  0.008  1.5
deepseek-v4-pro                         1.74   0.145  3.48
deepseek-v4-flash                       0.19   0.028  0.51
deepseek-v4.1-flash                     0.3    0.006  1.2
kimi-k2.7-code                          0.95   0.19   4
kimi-k2.6                               0.95   0.16   4
grok-4.7                                2      0.5    6      200000 4 1 12
grok-4.3                                1.25   0.2    2.5    200000 2.5 0.4 5
gpt-oss-120b                            0.15   -      0.6
Llama-3.3-70B-Instruct                  0.71   -      0.71
Llama-4-Maverick-17B-128E-Instruct-FP8  0.25   -      1
Llama-4-Scout-17B-16E-Instruct          0.2    -      0.78
"""

_PERPLEXITY: Final = """
anthropic/claude-opus-5-5    4     0.2    20
anthropic/claude-sonnet-5-5  2     0.2    10
anthropic/claude-haiku-5-5   0.1   0.01   0.5
openai/gpt-6.1-sol           2     0.1    10    272000 4 0.2 15
openai/gpt-6-luna            0.1   0.01   0.5   272000 0.2 0.02 0.75
openai/gpt-6-astra           10    1      50
google/gemini-3.8-flash      0.75  0.075  3.75
xai/grok-4.7                 2     0.5    6     200000 4 1 12
"""

_ROUTER: Final = """
zai-org/GLM-5.3-Flash               0.15  -  0.5
zai-org/GLM-5.3                     1.4   -  4.4
moonshotai/Kimi-K3                  3     -  15
moonshotai/Kimi-K2.7-Code           0.95  -  4
moonshotai/Kimi-K2.6                0.8   -  3.4
deepseek-ai/DeepSeek-V4-Pro-0813    1.32  -  3.96
deepseek-ai/DeepSeek-V4.1-Flash     0.3   -  1.2
Qwen/Qwen3.8-2.4T-A95B              2     -  6
Qwen/Qwen3.8-27B                    0.99  -  3.19
openai/gpt-oss-120b                 0.35  -  0.75
openai/gpt-oss-20b                  0.1   -  0.5
meta-llama/Llama-3.3-70B-Instruct   1.04  -  1.2
"""


def _rows(provider: str, table: str, source: str) -> Iterator[tuple[tuple[str, str], Price]]:
    for line in table.strip().splitlines():
        model, fresh, cached, output, *tier = line.split()
        tiers = (Tier(int(tier[0]), _rates(*tier[1:])),) if tier else ()
        base = _rates(fresh, cached, output)
        yield (provider, model), Price(base=base, tiers=tiers, source=source, dated=_READ)


def _rates(fresh: str, cached: str, output: str) -> Rates:
    return Rates(
        input=Decimal(fresh),
        cached=None if cached == "-" else Decimal(cached),
        output=Decimal(output),
    )


OVERLAY: Final[Mapping[tuple[str, str], Price]] = MappingProxyType(
    {
        **dict(_rows("qwen", _DASHSCOPE, _LITELLM)),
        **dict(_rows("azure", _AZURE, _LITELLM)),
        **dict(_rows("perplexity", _PERPLEXITY, _LITELLM)),
        **dict(_rows("huggingface", _ROUTER, _HOSTS)),
    }
)
"""(The provider's name in the list, the model's id) -> its price."""
