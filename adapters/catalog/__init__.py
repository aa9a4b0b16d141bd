"""What models cost: a packaged price list, our additions to it, and the operator's own word."""
