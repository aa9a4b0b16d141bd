"""The clients' dialects: what others' SDKs and front-ends send, and our stream in their words.

One module for each; every one reads a request body into a `ChatRequest` and projects the events of
a stream, which it neither starts nor delivers: `service.http.borrowed` does. Deciding only.
"""
