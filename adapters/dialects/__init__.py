"""One file per wire format: write a request, read a response. No I/O, no clock, no provider names.

A dialect object holds a provider's quirks of its format as data; a decoder lives for one attempt.
Every decoder has the same shape: `sse.SseParser` frames the bytes, one method per kind of message
turns it into events, `blocks.Blocks` keeps the account of what is open, and `close()` says
`interrupted` where no finish signal had come. Nothing a provider sends makes a decoder raise:
what cannot be read becomes an `upstream_malformed` ending, what is unknown is skipped.
"""
