"""The service described to programs: what it is asked and what it answers, as documents.

`openapi` has every HTTP route, `asyncapi` what is said over the WebSockets. Both are made of the
models that read and write, and of the shapes beside them here; they do no I/O, and
`service.http.described` serves them.
"""
