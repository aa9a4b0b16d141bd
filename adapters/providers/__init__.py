"""One small file per provider: where it is, how its key is called, what it serves, its quirks.

A file here is data. It exports `PROVIDER`, built from `contract.Provider` and one dialect with that
provider's quirks; it holds no function that looks at a request or an answer, knows no other
provider and touches no network. `compatible` is what the settings complete into a server of one's
own; `demo` needs neither key nor network. Neither is counted among the fifteen.

Every fact has a source. The files name theirs once, at the top, and again beside what one would not
expect; the marks are

* [recording]     seen in a recorded stream or error, by its file name,
* [sdk]           read in the source of the SDK that pyproject.toml pins,
* [docs]          the provider's own documents, as stored on 2026-11-23,
* [genai-prices]  its 0.2.3 data, [litellm] the model list of litellm 1.109.1,
* [pydantic-ai]   the profiles of pydantic-ai 2.68.0, whose comments say what was tried live.

What no source says stays None or at its default. None of it was tried against a live account.

An unnamed model means the provider's `default`, else its first: the best for general use at a
standard price, not the dearest. A short alias exists for every model a person would type.
"""
