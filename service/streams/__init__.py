"""The stream log: one answer's events, numbered once, encoded once, read by cursor.

A `Stream` owns a generation and its `StreamLog`; readers (SSE, WebSocket, a JSON answer, the CLI)
come and go without the generation noticing, unless its `on_disconnect` says otherwise. The `Store`
keeps streams until some time after their end, and answers a repeated Idempotency-Key with the
stream it already started. `Fold` turns events back into an answer.
"""
