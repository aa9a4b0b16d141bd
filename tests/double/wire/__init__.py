"""A neutral answer becomes the bytes a provider sends: one writer for each wire format.

* `scribe`     what every writer does, and `render`, which puts an answer together with one.
* `chat`       OpenAI chat completions, with its providers' differences as data; Mistral is one.
* `responses`  OpenAI Responses.
* `messages`   Anthropic Messages.
* `generate`   Gemini.
* `voices`     every provider's manner of speaking: format, differences, headers, keep-alives.
"""
