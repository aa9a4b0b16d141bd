"""What the service tells about itself: figures of the attempts, and metrics for Prometheus."""
